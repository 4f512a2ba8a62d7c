"""The start-up lines: what is served, by which versions, where, and through which doors."""

from __future__ import annotations

from rookery.settings import Settings
from rookery.supervisor.binding import is_loopback
from rookery.supervisor.messages import Report


def banner_lines(settings: Settings, report: Report) -> list[str]:
    """Return the lines that a server greets with."""
    served = ", ".join(_describe(name, facts) for name, facts in report.services.items())
    workers = f"{settings.workers} worker{'s' if settings.workers > 1 else ''}"
    lane = "lane on" if report.lane else f"lane off ({report.lane_reason or 'by setting'})"
    lines = [f"Rookery serves {served} at {settings.url}{settings.root_path} with {workers}, {lane}"]
    lines += [
        f"Warning: {name} answers 503: {facts['reason']}"
        for name, facts in report.services.items()
        if facts.get("version") is None
    ]
    if not is_loopback(settings.host):
        lines.append(f"Warning: {settings.host} can be reached from other machines, and no key is asked for")
    return lines


def _describe(name: str, facts: dict[str, str | None]) -> str:
    version = facts.get("version")
    return f"{name} (version {version})" if version is not None else f"{name} (no version)"

"""The reference tables of the documentation, made from the code: `python -m rookery.cli.reference docs`.

Each table stands between two marks in its page; the text around it is written by hand. A test holds the pages
against this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rookery.cli.failures import EXIT_CODES, INTERNAL_FAULT
from rookery.settings import FACTS, PREFIX, default_text, describe_allowed
from rookery.telemetry.metrics import METRICS

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def settings_table() -> str:
    """Return the table of all settings."""
    lines = ["| setting | also | default | allowed | what it does |", "|---|---|---|---|---|"]
    for name, facts in FACTS.items():
        default = default_text(name)
        cells = (
            f"`{PREFIX}{name.upper()}`",
            f"`{facts.also}`" if facts.also else "",
            f"`{default}`" if default else "",
            describe_allowed(name),
            facts.purpose,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def metrics_table() -> str:
    """Return the table of all metrics."""
    lines = ["| metric | kind | labels | what it says |", "|---|---|---|---|"]
    for metric in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines)


def commands_table() -> str:
    """Return the table of all commands with their arguments and options, and the table of exit codes."""
    lines = ["| command | what it does |", "|---|---|"]
    for usage, purpose in _commands(_root(), "rookery"):
        lines.append(f"| `{usage}` | {purpose} |")
    meanings = {0: "success", 2: "a wrong command line", INTERNAL_FAULT: "a fault of Rookery itself", 130: "Ctrl-C"}
    for kind, code in EXIT_CODES.items():
        meanings[code] = f"`{kind.__name__}`: {(kind.__doc__ or '').splitlines()[0]}"
    lines += ["", "| exit code | after |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in sorted(meanings.items())]
    return "\n".join(lines)


def _root() -> Any:
    import typer

    from rookery.cli.app import app

    return typer.main.get_command(app)


def _commands(group: Any, path: str) -> list[tuple[str, str]]:
    found = []
    for name, command in group.commands.items():
        usage = f"{path} {name}"
        if hasattr(command, "commands"):
            found += _commands(command, usage)
            continue
        parts = [usage]
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                parts.append(parameter.metavar or parameter.name.upper())
            else:
                # A switch that is on unless told otherwise is shown with what turns it off.
                names = "/".join([*parameter.opts[:1], *parameter.secondary_opts[:1]])
                shown = names if parameter.is_flag else f"{names} {parameter.name.upper()}"
                parts.append(shown if parameter.required else f"[{shown}]")
        found.append((" ".join(parts), (command.help or "").split("\n\n")[0].replace("\n", " ")))
    return found


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_table,
    "metrics.md": metrics_table,
    "cli.md": commands_table,
}
"""The pages with a table, and what makes it."""


def refresh(page: Path) -> str:
    """Return a page's text with its table made anew."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{PAGES[page.name]()}\n{END}{after}"


def main(folder: str) -> None:
    """Write the tables into the pages of a folder."""
    for name in PAGES:
        page = Path(folder) / name
        page.write_text(refresh(page), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

"""`SyncReport`: what a synchronisation did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ServiceSync:
    """What was done for one service."""

    service: str
    champion: str | None
    """The version that serves now; None when there is none."""
    revision: str
    changed: bool
    """Whether the workers have something new to serve or to show."""
    downloaded: tuple[str, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why a version, or the champion alias, could not be followed."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "service": self.service,
            "champion": self.champion,
            "revision": self.revision,
            "changed": self.changed,
            "downloaded": list(self.downloaded),
            "failures": dict(self.failures),
        }


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """What a synchronisation did, service by service."""

    services: tuple[ServiceSync, ...]
    pruned: tuple[str, ...] = ()
    """Manifest digests of the packages that were deleted from the store."""

    @property
    def failures(self) -> dict[str, str]:
        """Every failure, as `service/version` and the reason."""
        return {f"{s.service}/{version}": reason for s in self.services for version, reason in s.failures.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"services": [service.to_json() for service in self.services], "pruned": list(self.pruned)}


def report_from_json(document: Mapping[str, Any]) -> SyncReport:
    """Rebuild a report from `SyncReport.to_json`."""
    services = tuple(
        ServiceSync(**{**entry, "downloaded": tuple(entry["downloaded"])}) for entry in document["services"]
    )
    return SyncReport(services=services, pruned=tuple(document["pruned"]))

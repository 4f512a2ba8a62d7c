"""`Finding`: one thing `rookery doctor` looked at, what it found, and what cures it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from rookery.errors import RookeryError

Status = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    area: Literal["machine", "libraries", "settings", "home", "registry", "services"]
    name: str
    status: Status
    detail: str
    cure: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as JSON values."""
        return asdict(self)


def wrong(area: Literal["machine", "settings", "home", "registry", "services"], name: str, error: Exception) -> Finding:
    """Return the finding that an error is, with the cure it names."""
    if isinstance(error, RookeryError):
        return Finding(area, name, "wrong", error.message, error.cure)
    return Finding(area, name, "wrong", f"{type(error).__name__}: {error}")

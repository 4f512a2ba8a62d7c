"""What the supervisor and its workers tell each other, as JSON lines.

Down the *lifeline*, a pair of sockets, goes one `Orders` line, together with the descriptors of the listening socket
and of the report pipe; after it the lifeline only stays open, and its end tells the worker that the supervisor is
gone. Up the *report pipe* go `ready` once, `failed` instead if the worker cannot start for a reason that can be told,
and a `beat` from its event loop again and again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rookery.settings import Settings, settings_from_json, settings_to_json


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a worker is to do; everything it knows of the outside."""

    settings: Settings
    services: tuple[str, ...]
    """The services to serve; empty with `settings.package`."""
    optional: tuple[str, ...]
    """Those of them that nobody asked for by name and that have no version yet: the server is well without them."""
    slot: int
    """The worker's place, from 0; a replacement has its predecessor's."""
    source: str
    """The name of this life of the worker, for its metrics."""
    metrics_folder: str
    threads: int

    def to_line(self) -> bytes:
        """Return the orders as one line."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "settings"}
        return json.dumps({**values, "settings": json.loads(settings_to_json(self.settings))}).encode() + b"\n"


def read_orders(line: bytes) -> Orders:
    """Return the orders that a line holds."""
    values = json.loads(line)
    values["settings"] = settings_from_json(json.dumps(values["settings"]))
    values["services"], values["optional"] = tuple(values["services"]), tuple(values["optional"])
    return Orders(**values)


@dataclass(frozen=True, kw_only=True)
class Report:
    """One line from a worker."""

    kind: Literal["ready", "failed", "beat"]
    memory_mb: float = 0.0
    """With `beat`: the worker's resident memory."""
    message: str = ""
    """With `failed`: why the worker cannot start."""
    lane: bool = False
    """With `ready`: whether plain predictions go by the lane."""
    lane_reason: str = ""
    """With `ready`: why not, if not."""
    services: dict[str, Any] = field(default_factory=dict)
    """With `ready`: each service's version, or None, and the reason if there is none."""

    def to_line(self) -> bytes:
        """Return the report as one line."""
        return json.dumps({name: value for name, value in asdict(self).items() if value}).encode() + b"\n"


def read_report(line: bytes) -> Report | None:
    """Return the report that a line holds; None if it holds none."""
    try:
        return Report(**json.loads(line))
    except (ValueError, TypeError):
        return None

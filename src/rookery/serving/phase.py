"""Phases of a connection, and what is done with one that stays in its phase too long."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from rookery.serving.lane import Deadlines


class Phase(Enum):
    """What a connection is waiting for."""

    IDLE = "the next request"
    HEADERS = "the rest of a request's headers"
    BODY = "the rest of a request's body"
    ANSWERING = "the service's answer"
    UNREAD = "the client to read what was answered"
    LINGERING = "the client to read a refusal"
    DRAINING = "a last request, while the server stops"


def verdict(phase: Phase, seconds: float, deadlines: Deadlines) -> Literal["keep", "close", "refuse", "abort"]:
    """Decide what happens to a connection after so many seconds in one phase."""
    limits = {
        Phase.IDLE: (deadlines.idle, "close"),
        Phase.HEADERS: (deadlines.header, "refuse"),
        Phase.BODY: (deadlines.body, "refuse"),
        Phase.UNREAD: (deadlines.unread, "abort"),
        Phase.LINGERING: (deadlines.linger, "abort"),
        Phase.DRAINING: (deadlines.drain, "close"),
    }
    limit, action = limits.get(phase, (float("inf"), "keep"))
    return action if seconds > limit else "keep"  # type: ignore[return-value]

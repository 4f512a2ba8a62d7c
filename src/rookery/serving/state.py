"""`ServingState`: whether a worker takes part in answering."""

from __future__ import annotations

from enum import Enum


class Stage(Enum):
    """Where a worker is in its life; the value is what `/readyz` says about it."""

    LOADING = "models are being loaded"
    SERVING = "serving"
    DRAINING = "the server is stopping"


class ServingState:
    """The stage of one worker; readiness follows it at once, liveness does not."""

    def __init__(self) -> None:
        self.stage = Stage.LOADING

    def begin_serving(self) -> None:
        """Say that loading is over, unless the worker is stopping already."""
        if self.stage is Stage.LOADING:
            self.stage = Stage.SERVING

    def begin_draining(self) -> None:
        """Let balancers look elsewhere; requests that still arrive are answered as ever."""
        self.stage = Stage.DRAINING

    @property
    def is_serving(self) -> bool:
        """Whether new requests are welcome."""
        return self.stage is Stage.SERVING

"""`Site`: everything the routes of one worker know."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rookery.serving.mount import Mount
from rookery.serving.state import ServingState
from rookery.settings import Settings
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.logs import PredictionLog


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """The services of one worker, and what it knows of itself."""

    mounts: Sequence[Mount]
    settings: Settings
    state: ServingState
    metrics: WorkerMetrics
    metrics_folder: Path | None = None
    """Where all workers leave their counts; None when this process is alone."""
    log: PredictionLog | None = None

    @property
    def is_joint(self) -> bool:
        """Whether services are mounted under prefixes, with an overview at `/`."""
        return any(mount.prefix for mount in self.mounts)

    @cached_property
    def by_prefix(self) -> Mapping[str, Mount]:
        """The mounts by their prefix."""
        return {mount.prefix: mount for mount in self.mounts}

    def missed(self) -> Sequence[Mount]:
        """Return the services whose lack of a model makes this server not ready.

        Optional ones do not count, unless there is no other service to be well for.
        """
        missed = [mount for mount in self.mounts if mount.is_missed]
        answers = any(mount.endpoint.champion is not None for mount in self.mounts)
        return missed if missed or answers else self.mounts

    def find_mount(self, path: str) -> Mount | None:
        """Return the service that a path belongs to; None for the server's own paths."""
        if not self.is_joint:
            return self.mounts[0] if self.mounts else None
        end = path.find("/", 1)
        return self.by_prefix.get(path if end < 0 else path[:end])


@dataclass(slots=True)
class Exchange:
    """What is known of one request while it is answered; kept in the ASGI scope under `EXCHANGE`."""

    path: str
    """The path below wherever the application is mounted."""
    mount: Mount | None
    client_request_id: str | None = None
    request_id: str = ""
    """The server's own id: a prediction's, or one made when the response begins."""
    version: str | None = None
    """The version that answered; None: the champion's name is shown."""
    is_counted: bool = False
    """Whether the pipeline has counted and logged the request."""
    status: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def shown_version(self) -> str | None:
        """What `X-Model-Version` says."""
        if self.version is not None or self.mount is None:
            return self.version
        return self.mount.version


EXCHANGE = "rookery.exchange"

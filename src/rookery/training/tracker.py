"""`Tracker`: where the runs of a training are recorded; `mlflow_tracker` has MLflow's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What one run leaves behind; artifacts are files by their path within the run."""

    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict)


class Tracker(Protocol):
    """Records a parent run per training and a child run per candidate.

    A tracker that cannot record raises `RegistryUnavailable`: a training that leaves no trace is refused
    rather than done in secret.
    """

    @property
    def wants_figures(self) -> bool:
        """Whether artifacts are kept, so that it is worth drawing them."""
        ...

    def start(self, service: str, record: RunRecord) -> str | None:
        """Open a training's parent run and return its id; None when nothing is recorded."""
        ...

    def add_candidate(self, parent: str | None, name: str, record: RunRecord) -> str | None:
        """Record a candidate's finished child run and return its id."""
        ...

    def finish(self, parent: str | None, record: RunRecord, *, succeeded: bool) -> None:
        """Close the parent run with what came of it."""
        ...


class NullTracker:
    """Records nothing: for tests, and for trainings that nobody needs to look up."""

    @property
    def wants_figures(self) -> bool:
        """No: nothing is kept."""
        return False

    def start(self, service: str, record: RunRecord) -> str | None:  # noqa: ARG002
        """Return None: there is no run."""
        return None

    def add_candidate(self, parent: str | None, name: str, record: RunRecord) -> str | None:  # noqa: ARG002
        """Return None: there is no run."""
        return None

    def finish(self, parent: str | None, record: RunRecord, *, succeeded: bool) -> None:
        """Do nothing."""

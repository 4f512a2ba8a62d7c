"""Policies: frozen declarations of how a service is limited, gated, rolled out and cached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from rookery.errors import DefinitionError
from rookery.service.metrics import METRICS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may cost, and how many may be under way in one worker."""

    body_bytes: int = 2_000_000
    rows: int = 1_000
    deadline_seconds: float = 10.0
    """From the complete request to its answer; later answers are 504."""
    concurrency: int = 1_024
    """Calls under way in one worker; further ones are shed with 503."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise DefinitionError(
                    f"limit {field.name}={getattr(self, field.name)} is not positive", cure="Give a number above zero"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The conditions a version must meet before it may be registered as champion.

    Scores that grow better are lower bounds, errors are upper bounds; None is no condition.
    """

    accuracy: float | None = None
    precision_macro: float | None = None
    recall_macro: float | None = None
    f1_macro: float | None = None
    log_loss: float | None = None
    rmse: float | None = None
    mae: float | None = None
    r2: float | None = None
    against_champion: float | None = 0.02
    """How much worse than the champion the service's metric may be, as a share of the champion's; None: any."""

    def thresholds(self) -> Mapping[str, float]:
        """Return the conditions that are set, by metric name."""
        return {name: getattr(self, name) for name in METRICS if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How traffic moves to a challenger: shares in percent, and how long each step lasts."""

    steps: tuple[int, ...] = (5, 25, 50, 100)
    step_minutes: float = 10.0
    minimum_predictions: int = 200

    def __post_init__(self) -> None:
        if not self.steps or list(self.steps) != sorted(set(self.steps)) or not 0 < self.steps[0] <= self.steps[-1] == 100:
            raise DefinitionError(
                f"rollout steps {self.steps} do not grow from above 0 to 100", cure="For example steps=(5, 25, 50, 100)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Whether answers are kept by their input's content, for how long, and in how many bytes."""

    enabled: bool = False
    ttl_seconds: int = 3_600
    memory_bytes: int = 64_000_000

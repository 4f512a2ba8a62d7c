"""Policies: frozen declarations of how a service is limited, gated, rolled out and cached."""

from __future__ import annotations

import math
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
        _require_positive("limit", self)


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

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not math.isfinite(value):
                raise DefinitionError(f"gate {field.name}={value} is no finite number", cure="Give a number or None")
        if self.against_champion is not None and self.against_champion < 0:
            raise DefinitionError(
                f"gate against_champion={self.against_champion} is negative", cure="Give the share it may be worse by"
            )

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
        steps = list(self.steps)
        if not steps or steps != sorted(set(steps)) or steps[0] <= 0 or steps[-1] != 100:
            raise DefinitionError(
                f"rollout steps {self.steps} do not grow from above 0 to 100", cure="For example steps=(5, 25, 50, 100)"
            )
        for name in ("step_minutes", "minimum_predictions"):
            if not getattr(self, name) >= 0:
                raise DefinitionError(f"rollout {name}={getattr(self, name)} is negative", cure="Give 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Whether answers are kept by their input's content, for how long, and in how many bytes."""

    enabled: bool = False
    ttl_seconds: int = 3_600
    memory_bytes: int = 64_000_000

    def __post_init__(self) -> None:
        _require_positive("cache", self)


def _require_positive(what: str, policy: Limits | Cache) -> None:
    for field in fields(policy):
        value = getattr(policy, field.name)
        if isinstance(value, bool):
            continue
        if not (value > 0 and math.isfinite(value)):
            raise DefinitionError(f"{what} {field.name}={value} is not positive", cure="Give a number above zero")

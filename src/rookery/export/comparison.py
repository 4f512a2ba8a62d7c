"""`Comparison`: rows answered by the original and by the graph, held against each other.

Equal means: probabilities within 1e-5; a regression within 1e-4 of the target's standard deviation (or within 1e-5
of the answer's distance from the mean answer, where probes at far bounds extrapolate to ten deviations and more);
the same label wherever the margin exceeds twice the tolerance. A row may differ by more only if the original gives
that very answer within one float32 step of the row's input, and at most 0.1 % of the rows may need that excuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rookery.errors import ParityError
from rookery.export.original import answer, predicted_positions
from rookery.export.probes import ulp_neighbours
from rookery.export.runner import Matrix

Answers = npt.NDArray[np.float64]

PROBABILITY_TOLERANCE = 1e-5
REGRESSION_TOLERANCE = 1e-4
"""In standard deviations of the target."""
FAR_TOLERANCE = 1e-5
"""Relative to an answer's distance from the mean answer; above the tolerance beyond ten deviations only."""
EXCUSED_SHARE = 0.001

WHAT: Mapping[str, str] = {
    "rows": "rows",
    "missing": "rows with a missing optional value",
    "categories": "rows with every category",
    "bounds": "rows at a bound of an input field",
    "thresholds": "rows at the trees' thresholds",
}
_RANGE = "Narrow the input field's bounds to what the model can answer"
CURES: Mapping[str, str] = {
    "rows": "Fit it on rows like those it is to answer",
    "missing": "Make the field required, begin a pipeline with SimpleImputer, or choose an estimator that takes NaN",
    "categories": "Give the encoder all categories (categories=[...]) or handle_unknown='ignore'",
    "bounds": _RANGE,
    "thresholds": _RANGE,
}


@dataclass(slots=True)
class Comparison:
    """What was compared so far, and what had to be excused."""

    estimator: Any
    order: list[int] | None
    scale: float
    centre: float
    largest: float = 0.0
    probes: dict[str, int] = field(default_factory=dict)
    excused: list[dict[str, Any]] = field(default_factory=list)
    unanswered: int = 0

    def ask(self, kind: str, features: Matrix) -> Answers:
        """Ask the original; what it refuses no service can answer."""
        try:
            return answer(self.estimator, features, self.order)
        except Exception as error:  # whatever a library raises on an input it does not take
            reason = " ".join(str(error).split())[:200]
            raise ParityError(
                f"{type(self.estimator).__name__} refuses {WHAT[kind]}: {reason}", cure=CURES[kind]
            ) from error

    def tolerances(self, original: Answers) -> Answers:
        """Return each row's tolerance, in the output's unit, [n]."""
        if self.order is not None:
            return np.full(len(original), PROBABILITY_TOLERANCE)
        return np.maximum(REGRESSION_TOLERANCE * self.scale, FAR_TOLERANCE * np.abs(original - self.centre))

    def differences(self, original: Answers, given: Answers) -> Answers:
        """Return each row's largest difference, infinite where only one of the two is finite, [n]."""
        with np.errstate(invalid="ignore"):
            apart = np.abs(original - given)
        apart = np.where(np.isnan(apart), np.where(np.isfinite(original) == np.isfinite(given), 0.0, np.inf), apart)
        return apart if apart.ndim == 1 else apart.max(axis=1)

    def compare(
        self, kind: str, rows: Matrix, run: Callable[[Matrix], npt.NDArray[Any]], widen: Callable[[Matrix], Matrix]
    ) -> None:
        """Compare graph (`run`) and original on rows; `widen` gives the features that the original reads."""
        if not len(rows):
            return
        features = widen(rows)
        original, given = self.ask(kind, features), run(rows).astype(np.float64)
        if original.shape != given.shape:
            raise ParityError(f"the graph's answers have shape {given.shape}, the original's {original.shape}")
        apart = self.differences(original, given)
        failing = np.flatnonzero(apart > self.tolerances(original))
        passing = np.delete(apart, failing)
        self.largest = max(self.largest, float(passing.max(initial=0.0)))
        self.probes[kind] = self.probes.get(kind, 0) + len(rows)
        if len(failing) > EXCUSED_SHARE * len(rows):
            raise self.refusal(kind, rows, failing, original, given, apart)
        inexcusable = []
        for row in failing:
            near = self.ask(kind, widen(ulp_neighbours(rows[row])))
            repeated = np.repeat(given[row : row + 1], len(near), axis=0)
            if (self.differences(near, repeated) <= self.tolerances(near)).any():
                self.excused.append({"probe": kind, "row": int(row), "difference": float(apart[row])})
            else:
                inexcusable.append(int(row))
        if inexcusable:
            raise self.refusal(kind, rows, np.asarray(inexcusable), original, given, apart)
        self.compare_labels(kind, original, given)

    def compare_labels(self, kind: str, original: Answers, given: Answers) -> None:
        """Require the same most probable label wherever the original's margin exceeds twice the tolerance."""
        if self.order is None:
            return
        clear = _is_clear(original)
        clear[[entry["row"] for entry in self.excused if entry["probe"] == kind]] = False
        wrong = np.flatnonzero(clear & (original.argmax(axis=1) != given.argmax(axis=1)))
        if len(wrong):
            raise ParityError(f"another label in {len(wrong)} of {len(given)} {WHAT[kind]}", rows=wrong.tolist())

    def refusal(
        self,
        kind: str,
        rows: Matrix,
        failing: npt.NDArray[Any],
        original: Answers,
        given: Answers,
        apart: Answers,
    ) -> ParityError:
        """Describe where the graph answers otherwise."""
        worst = int(failing[apart[failing].argmax()])
        return ParityError(
            f"the exported graph differs from {type(self.estimator).__name__} in {len(failing)} of {len(rows)} "
            f"{WHAT[kind]}, by up to {apart[worst]:.3g}: at row {worst} the original says "
            f"{np.round(original[worst], 6).tolist()}, the graph {np.round(given[worst], 6).tolist()}",
            cure="The export is not used. Scale the inputs or standardise the target, or choose another estimator",
            rows=[int(row) for row in failing],
        )

    def compare_own_labels(self, features: Matrix) -> None:
        """Require that the original itself predicts its most probable label, since the service will."""
        if self.order is None:
            return
        original = self.ask("rows", features)
        predicted = predicted_positions(self.estimator, features, self.order)
        wrong = _is_clear(original) & (predicted != original.argmax(axis=1))
        if wrong.any():
            raise ParityError(
                f"{type(self.estimator).__name__} predicts another label than its most probable one "
                f"in {int(wrong.sum())} of {len(features)} rows",
                cure="Wrap it in CalibratedClassifierCV(..., ensemble=False)",
                rows=np.flatnonzero(wrong).tolist(),
            )


def _is_clear(original: Answers) -> npt.NDArray[np.bool_]:
    """Tell where the most probable label is so by more than twice the tolerance, [n]."""
    best = np.sort(original, axis=1)
    return np.asarray(best[:, -1] - best[:, -2] > 2 * PROBABILITY_TOLERANCE)

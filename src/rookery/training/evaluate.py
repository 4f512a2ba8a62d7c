"""Evaluation: scores on rows a model never saw, by cross-validation and on the held-out part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rookery.export.original import answer, order_for
from rookery.service.definition import Service
from rookery.training.candidates import fit, make_estimator
from rookery.training.rows import Matrix, Target
from rookery.training.scores import is_better, score
from rookery.training.split import Split, fold_rows

SMALL_ROWS = 2_000
"""Below so many rows one held-out part swings too much to judge by: the gate judges cross-validation."""
SMALL_FOLDS = 5
IMPORTANCE_ROWS = 1_000
IMPORTANCE_REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """Scores over the folds of a (repeated) stratified cross-validation within the training part."""

    folds: int
    repeats: int
    mean: Mapping[str, float]
    std: Mapping[str, float]
    """Standard deviation between folds: how far a part of a fold's size swings."""

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON values."""
        return {"folds": self.folds, "repeats": self.repeats, "mean": dict(self.mean), "std": dict(self.std)}


def choose_folds(service: Service, rows: int) -> int:
    """Return how many folds to cross-validate with: what the service declares, and five for small data regardless."""
    if service.cross_validation or rows >= SMALL_ROWS:
        return service.cross_validation
    return SMALL_FOLDS


def make_folds(service: Service, matrix: Matrix, target: Target, rows: int) -> list[Split]:
    """Return the folds of the training part, `[]` when there is no cross-validation; all candidates share them.

    Args:
        service: whose task, seed and folds apply.
        matrix: the training part's columns; held-out rows take no part, so that they judge nothing but the end.
        target: the training part's outcomes.
        rows: the size of the whole data, which decides whether it is small.
    """
    folds = choose_folds(service, rows)
    if not folds:
        return []
    repeats = service.cross_validation_repeats
    return list(fold_rows(service.require_task(), matrix, target, folds=folds, repeats=repeats, seed=service.seed))


def cross_validate(
    service: Service,
    name: str,
    folds: Sequence[Split],
    features: Matrix,
    target: Target,
    on_fold: Callable[[], None] = lambda: None,
) -> CrossValidation | None:
    """Fit a candidate anew for each fold and score it on the rows left out; None without folds."""
    if not folds:
        return None
    scores = []
    for fold in folds:
        estimator = make_estimator(service, name)
        fit(service, name, estimator, features[fold.train], target[fold.train])
        outputs = answer(estimator, features[fold.test], order_for(estimator, service.require_task()))
        scores.append(score(service.require_task(), target[fold.test], outputs))
        on_fold()
    repeats = service.cross_validation_repeats
    return CrossValidation(
        folds=len(folds) // repeats,
        repeats=repeats,
        mean={metric: float(np.mean([each[metric] for each in scores])) for metric in scores[0]},
        std={metric: float(np.std([each[metric] for each in scores])) for metric in scores[0]},
    )


def permutation_importance(
    service: Service, run: Callable[[Matrix], Matrix], matrix: Matrix, target: Target
) -> dict[str, float]:
    """Return by column how much worse the service's metric gets when the column's values are shuffled (Breiman 2001).

    Measured on the exported graph and held-out rows (1,000 at most), so derived features count for the columns that
    they are made of. Sorted, the most important first.
    """
    generator = np.random.default_rng(service.seed)
    rows = np.sort(generator.permutation(len(matrix))[:IMPORTANCE_ROWS])
    matrix, target, metric = matrix[rows], target[rows], service.metric
    base = score(service.require_task(), target, run(matrix))[metric]
    worse = -1.0 if is_better(metric, 1.0, 0.0) else 1.0
    importance = {}
    for position, column in enumerate(service.schema.columns):
        changes = []
        for _ in range(IMPORTANCE_REPEATS):
            shuffled = matrix.copy()
            shuffled[:, position] = generator.permutation(shuffled[:, position])
            changes.append(worse * (score(service.require_task(), target, run(shuffled))[metric] - base))
        importance[column.name] = float(np.mean(changes))
    return dict(sorted(importance.items(), key=lambda entry: (-entry[1], entry[0])))

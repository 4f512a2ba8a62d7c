"""Scores: how far predictions lie from the truth. Pure functions of arrays, one per metric of `service.metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rookery.service.metrics import METRICS
from rookery.service.task import Classification, Task

Array = npt.NDArray[Any]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
LEAST_PROBABILITY = 1e-7
"""Probabilities are clipped to at least this for log_loss, which is infinite at zero."""


def score(task: Task, target: Array, outputs: Array) -> dict[str, float]:
    """Return every metric of the task.

    Args:
        task: what was to be answered.
        target: class indices [n] or values [n].
        outputs: probabilities [n, labels] or values [n].
    """
    if isinstance(task, Classification):
        return _score_classes(target.astype(np.int64), outputs.astype(np.float64), len(task.labels))
    return _score_values(target.astype(np.float64), outputs.astype(np.float64))


def is_better(metric: str, first: float, second: float) -> bool:
    """Tell whether the first score is better than the second."""
    return first > second if METRICS[metric].greater_is_better else first < second


def confusion_matrix(target: Array, outputs: Array, labels: int) -> npt.NDArray[np.int64]:
    """Return counts [labels, labels]: true classes down, predicted ones across."""
    predicted = outputs.argmax(axis=1)
    counts = np.bincount(target.astype(np.int64) * labels + predicted, minlength=labels * labels)
    return counts.reshape(labels, labels)


def classification_report(task: Classification, target: Array, outputs: Array) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and the number of true rows, by label."""
    counts = confusion_matrix(target, outputs, len(task.labels))
    precision, recall, f1 = _per_class(counts)
    return {
        label: {
            "precision": float(precision[index]),
            "recall": float(recall[index]),
            "f1": float(f1[index]),
            "support": int(counts[index].sum()),
        }
        for index, label in enumerate(task.labels)
    }


def residual_quantiles(target: Array, outputs: Array) -> dict[str, float]:
    """Return quantiles of prediction minus truth, in the target's unit, by their name (`q05` …)."""
    residuals = outputs.astype(np.float64) - target.astype(np.float64)
    values = np.quantile(residuals, QUANTILES)
    return {f"q{round(q * 100):02d}": float(value) for q, value in zip(QUANTILES, values, strict=True)}


def judge_in_detail(task: Task, target: Array, outputs: Array) -> Mapping[str, Any]:
    """Return what the scores sum up: confusion matrix and report per class, or quantiles of the residuals."""
    if isinstance(task, Classification):
        return {
            "labels": list(task.labels),
            "confusion_matrix": confusion_matrix(target, outputs, len(task.labels)).tolist(),
            "classification_report": classification_report(task, target, outputs),
        }
    return {"residual_quantiles": residual_quantiles(target, outputs)}


def _score_classes(target: Array, probabilities: Array, labels: int) -> dict[str, float]:
    counts = confusion_matrix(target, probabilities, labels)
    precision, recall, f1 = _per_class(counts)
    # Classes that neither occur nor are predicted say nothing about the model.
    known = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    true = np.clip(probabilities[np.arange(len(target)), target], LEAST_PROBABILITY, 1.0)
    return {
        "accuracy": float(np.trace(counts) / counts.sum()),
        "precision_macro": float(precision[known].mean()),
        "recall_macro": float(recall[known].mean()),
        "f1_macro": float(f1[known].mean()),
        "log_loss": float(-np.log(true).mean()),
    }


def _per_class(counts: Array) -> tuple[Array, Array, Array]:
    """Return precision, recall and F1 per class from a confusion matrix; 0 where nothing was there to count."""
    hits = np.diag(counts).astype(np.float64)
    predicted, true = counts.sum(axis=0), counts.sum(axis=1)
    precision = np.divide(hits, predicted, out=np.zeros_like(hits), where=predicted > 0)
    recall = np.divide(hits, true, out=np.zeros_like(hits), where=true > 0)
    both = predicted + true
    return precision, recall, np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0)


def _score_values(target: Array, values: Array) -> dict[str, float]:
    errors = values - target
    spread = float(((target - target.mean()) ** 2).sum())
    squares = float((errors**2).sum())
    return {
        "rmse": float(np.sqrt(squares / len(target))),
        "mae": float(np.abs(errors).mean()),
        "r2": 1.0 - squares / spread if spread > 0 else 0.0,
    }

"""The scores a candidate is judged by, and which way each of them points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TaskKind = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A score on held-out data: its name, the task it belongs to, and whether more of it is better."""

    name: str
    task: TaskKind
    greater_is_better: bool
    description: str


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "classification", True, "share of rows whose predicted class is the true one"),
        Metric("precision_macro", "classification", True, "precision, averaged over the classes"),
        Metric("recall_macro", "classification", True, "recall, averaged over the classes"),
        Metric("f1_macro", "classification", True, "harmonic mean of precision and recall, averaged over the classes"),
        Metric("log_loss", "classification", False, "mean negative log-likelihood of the true class"),
        Metric("rmse", "regression", False, "root of the mean squared error, in the target's unit"),
        Metric("mae", "regression", False, "mean absolute error, in the target's unit"),
        Metric("r2", "regression", True, "share of the target's variance that is explained"),
    )
}
"""Every metric by name."""

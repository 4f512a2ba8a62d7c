"""Scores: ours are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from rookery.service.metrics import METRICS
from rookery.service.task import Classification, Regression
from rookery.training.scores import (
    classification_report,
    confusion_matrix,
    is_better,
    judge_in_detail,
    residual_quantiles,
    score,
)

TASK = Classification("a", "b", "c")


def make_answers() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(2)
    target = draw.choice(3, 300, p=[0.5, 0.4, 0.1])
    outputs = draw.dirichlet(np.ones(3), 300)
    outputs[np.arange(300), target] += 0.4
    return target, (outputs / outputs.sum(axis=1, keepdims=True)).astype(np.float32)


def test_classification_scores_agree_with_scikit_learn() -> None:
    target, outputs = make_answers()
    ours, predicted = score(TASK, target, outputs), outputs.argmax(axis=1)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(target, predicted, average="macro")
    sure = outputs.astype(float)
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(target, predicted))
    assert ours["precision_macro"] == pytest.approx(precision)
    assert ours["recall_macro"] == pytest.approx(recall)
    assert ours["f1_macro"] == pytest.approx(f1)
    assert ours["log_loss"] == pytest.approx(metrics.log_loss(target, sure / sure.sum(axis=1, keepdims=True)), rel=1e-5)
    assert np.array_equal(confusion_matrix(target, outputs, 3), metrics.confusion_matrix(target, predicted))


def test_a_class_that_is_never_predicted_counts_as_zero_without_a_warning() -> None:
    outputs = np.tile(np.array([[0.6, 0.3, 0.1]]), (6, 1))
    scores = score(TASK, np.array([0, 0, 1, 1, 2, 2]), outputs)
    assert scores["precision_macro"] == pytest.approx(1 / 9)
    assert scores["recall_macro"] == pytest.approx(1 / 3)


def test_certain_and_wrong_answers_have_a_finite_log_loss() -> None:
    scores = score(TASK, np.array([0, 1]), np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))
    assert np.isfinite(scores["log_loss"])


def test_regression_scores_agree_with_scikit_learn() -> None:
    draw = np.random.default_rng(3)
    target = draw.normal(size=200)
    values = target + 0.3 * draw.normal(size=200)
    ours = score(Regression(), target, values)
    assert ours["rmse"] == pytest.approx(metrics.root_mean_squared_error(target, values))
    assert ours["mae"] == pytest.approx(metrics.mean_absolute_error(target, values))
    assert ours["r2"] == pytest.approx(metrics.r2_score(target, values))


def test_every_metric_that_a_service_may_name_is_scored() -> None:
    target, outputs = make_answers()
    scored = {*score(TASK, target, outputs), *score(Regression(), target.astype(float), outputs[:, 0])}
    assert scored == set(METRICS)


def test_details_hold_the_report_per_label_or_the_quantiles_of_residuals() -> None:
    target, outputs = make_answers()
    report = classification_report(TASK, target, outputs)
    assert [report[label]["support"] for label in TASK.labels] == np.bincount(target).tolist()
    assert judge_in_detail(TASK, target, outputs)["labels"] == ["a", "b", "c"]
    quantiles = residual_quantiles(np.zeros(101), np.arange(101.0))
    assert quantiles == {"q01": 1.0, "q05": 5.0, "q25": 25.0, "q50": 50.0, "q75": 75.0, "q95": 95.0, "q99": 99.0}


def test_better_points_the_metrics_way() -> None:
    assert is_better("accuracy", 0.9, 0.8)
    assert is_better("rmse", 0.8, 0.9)
    assert not is_better("rmse", 0.9, 0.9)

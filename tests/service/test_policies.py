"""Tasks, metrics and policies refuse values that mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from rookery.errors import DefinitionError
from rookery.service.metrics import METRICS
from rookery.service.policies import Cache, Gate, Limits, Rollout
from rookery.service.task import Classification, Regression


def test_labels_are_texts_in_their_order() -> None:
    assert Classification("b", "a").labels == ("b", "a")
    assert Classification(0, 1, 2).labels == ("0", "1", "2")
    assert (Classification("a", "b").kind, Regression().kind) == ("classification", "regression")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "0 label"),
        (("a",), "decides nothing"),
        (("a", "b", "a"), "'a' is named twice"),
        ((1, "1"), "'1' is named twice"),
        ((["a", "b"],), "neither a text nor a whole number"),
        ((True, False), "neither a text nor a whole number"),
        ((0.5, 1.5), "neither a text nor a whole number"),
        (("a", " "), "a label is blank"),
    ],
)
def test_labels_that_decide_nothing_are_refused(labels: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Classification(*labels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Limits(rows=0), "limit rows=0 is not positive"),
        (lambda: Limits(deadline_seconds=-1), "limit deadline_seconds=-1 is not positive"),
        (lambda: Limits(deadline_seconds=float("inf")), "limit deadline_seconds=inf"),
        (lambda: Limits(deadline_seconds=float("nan")), "limit deadline_seconds=nan"),
        (lambda: Cache(ttl_seconds=0), "cache ttl_seconds=0 is not positive"),
        (lambda: Gate(accuracy=float("nan")), "gate accuracy=nan"),
        (lambda: Gate(against_champion=-0.1), "against_champion=-0.1 is negative"),
        (lambda: Rollout(steps=()), "do not grow"),
        (lambda: Rollout(steps=(5, 50)), "do not grow"),
        (lambda: Rollout(steps=(0, 100)), "do not grow"),
        (lambda: Rollout(steps=(50, 50, 100)), "do not grow"),
        (lambda: Rollout(steps=(50, 20, 100)), "do not grow"),
        (lambda: Rollout(step_minutes=-1), "step_minutes=-1 is negative"),
        (lambda: Rollout(minimum_predictions=-1), "minimum_predictions=-1 is negative"),
    ],
)
def test_policies_that_cannot_be_followed_are_refused(make: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message) as caught:
        make()
    assert caught.value.cure


def test_defaults_are_sound() -> None:
    assert Limits().rows == 1000
    assert not Cache().enabled
    assert Rollout(steps=(100,)).steps == (100,)
    assert Gate().thresholds() == {}


def test_a_gates_conditions_are_its_metrics_alone() -> None:
    assert Gate(accuracy=0.9, rmse=0, against_champion=None).thresholds() == {"accuracy": 0.9, "rmse": 0}


def test_every_metric_can_be_a_condition() -> None:
    for name in METRICS:
        assert Gate(**{name: 0.5}).thresholds() == {name: 0.5}

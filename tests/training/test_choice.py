"""Choice and gate: the best wins, ties go to the simplest, and a gate is held to the digit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rookery.service.policies import Gate
from rookery.service.task import Classification, Regression
from rookery.training.choice import choose, judge_against_champion, judge_scores, unmet
from tests.training.samples import line, logistic, places, points, tree

TASK = Classification("a", "b")


def test_the_best_score_wins_whichever_way_the_metric_points() -> None:
    assert choose(points(), {"logistic": {"f1_macro": 0.8}, "tree": {"f1_macro": 0.9}}) == "tree"
    service = replace(places(), candidates={"line": line, "other": line})
    assert choose(service, {"line": {"rmse": 0.4}, "other": {"rmse": 0.5}}) == "line"


def test_scores_that_agree_to_four_decimals_go_to_the_candidate_declared_first() -> None:
    scores = {"logistic": {"f1_macro": 0.90001}, "tree": {"f1_macro": 0.90004}}
    assert choose(points(), scores) == "logistic"
    swapped = points(candidates={"tree": tree, "logistic": logistic})
    assert choose(swapped, scores) == "tree"


def test_a_difference_in_the_fourth_decimal_is_no_tie() -> None:
    assert choose(points(), {"logistic": {"f1_macro": 0.9000}, "tree": {"f1_macro": 0.9001}}) == "tree"


@pytest.mark.parametrize(("actual", "met"), [(0.9, True), (0.89999, False), (1.0, True)])
def test_scores_are_lower_bounds(actual: float, met: bool) -> None:
    (condition,) = judge_scores(Gate(accuracy=0.9), {"accuracy": actual}, "held-out rows")
    assert condition.met is met
    assert ("below 0.9" in condition.text) is not met


@pytest.mark.parametrize(("actual", "met"), [(0.42, True), (0.42001, False), (0.1, True)])
def test_errors_are_upper_bounds(actual: float, met: bool) -> None:
    (condition,) = judge_scores(Gate(rmse=0.42), {"rmse": actual}, "held-out rows")
    assert condition.met is met


def test_every_threshold_is_a_condition_and_none_is_none() -> None:
    scores = {"accuracy": 0.5, "f1_macro": 0.5}
    assert [c.name for c in judge_scores(Gate(accuracy=0.4, f1_macro=0.6), scores, "x")] == ["accuracy", "f1_macro"]
    assert judge_scores(Gate(), scores, "x") == []


def against(challenger_errors: int, champion_errors: int, rows: int, gate: Gate) -> bool:
    """Whether a challenger with so many wrong rows passes against a champion."""
    target = np.arange(rows) % 2

    def answers(errors: int) -> np.ndarray:
        outputs = np.eye(2, dtype=np.float32)[target]
        outputs[:errors] = outputs[:errors, ::-1]
        return outputs

    conditions = judge_against_champion(
        gate,
        "accuracy",
        TASK,
        target,
        challenger=answers(challenger_errors),
        champion=answers(champion_errors),
        version="4",
    )
    return not unmet(conditions)


def test_a_challenger_as_good_as_the_champion_or_better_passes() -> None:
    assert against(50, 50, 1_000, Gate(against_champion=0.0))
    assert against(10, 50, 1_000, Gate(against_champion=0.0))


def test_a_challenger_that_is_clearly_worse_is_refused() -> None:
    assert not against(100, 50, 1_000, Gate(against_champion=0.02))
    assert against(60, 50, 1_000, Gate(against_champion=0.02))
    assert against(900, 50, 1_000, Gate(against_champion=None))


def test_one_row_of_a_small_held_out_part_does_not_decide() -> None:
    assert against(1, 0, 40, Gate(against_champion=0.02))
    assert not against(8, 0, 40, Gate(against_champion=0.02))


def test_errors_are_compared_as_a_share_of_the_champions() -> None:
    target = np.zeros(2_000)
    noise = np.random.default_rng(0).normal(size=2_000)
    for factor, met in ((1.01, True), (1.2, False), (0.5, True)):
        (condition,) = judge_against_champion(
            Gate(against_champion=0.02),
            "rmse",
            Regression(),
            target,
            challenger=noise * factor,
            champion=noise,
            version="1",
        )
        assert condition.met is met
        assert condition.actual == pytest.approx(factor - 1)

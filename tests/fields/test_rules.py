"""Rules held against encoded rows."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import create_model

from rookery.fields.expression import Rule, col, inside
from rookery.fields.rules import broken_rules
from rookery.fields.schema import read_input_model

SCHEMA = read_input_model(create_model("Pair", a=(float, ...), b=(float | None, None)))
ORDER = Rule(col("a") <= col("b"), "a cannot exceed b")
POSITIVE = Rule(col("a") > 0, "a must be positive")
NAN = float("nan")


def broken(rules: list[Rule], *rows: tuple[float, float]) -> list[tuple[int, Rule]]:
    return broken_rules(rules, SCHEMA, np.array(rows, dtype=np.float32).reshape(-1, 2))


def test_rows_that_meet_every_rule_are_not_mentioned() -> None:
    assert broken([ORDER, POSITIVE], (1, 2), (2, 2)) == []
    assert broken([ORDER]) == []
    assert broken([], (3, 2)) == []


def test_every_broken_rule_of_every_row_is_told_in_order() -> None:
    found = broken([POSITIVE, ORDER], (1, 2), (-1, -2), (3, 2), (-1, 0))
    assert found == [(1, POSITIVE), (1, ORDER), (2, ORDER), (3, POSITIVE)]


def test_a_rule_that_reads_a_missing_value_is_not_judged() -> None:
    negated = Rule(~(col("a") > col("b")), "not above")
    assert broken([ORDER, negated, POSITIVE], (5, NAN), (-5, NAN)) == [(1, POSITIVE)]


@pytest.mark.filterwarnings("error")
def test_a_rule_that_cannot_be_computed_for_a_row_is_broken_there() -> None:
    """0/0 fulfils no comparison; no warning is printed."""
    ratio = Rule(col("a") / col("b") <= 2, "more than twice")
    assert broken([ratio], (1, 1), (0, 0), (5, 2)) == [(1, ratio), (2, ratio)]


def test_values_on_a_rules_bound_are_allowed_in_float32() -> None:
    assert broken([Rule(col("a") <= 0.1, "at most 0.1")], (0.1, 0)) == []


def test_polygons_judge_many_rows_at_once() -> None:
    home = Rule(inside(col("a"), col("b"), [(0, 0), (0, 4), (4, 4), (4, 0)]), "outside")
    rows = [(lat, lon) for lat in range(-1, 6) for lon in range(-1, 6)]
    expected = [index for index, (lat, lon) in enumerate(rows) if not (0 <= lat < 4 and 0 <= lon < 4)]
    assert [row for row, _ in broken([home], *rows)] == expected

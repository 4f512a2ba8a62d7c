"""`finish`: numbers that are the same however many of them are rounded together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rookery.fields.ranges import FEW_ROWS, is_any_outside
from rookery.pipeline.probabilities import DECIMALS, FEW_NUMBERS, make_labeller, round_probabilities

probabilities = st.floats(0, 1, width=32) | st.sampled_from([0.5e-6, 1.5e-6, 2.5e-6, 0.9999995]).map(np.float32)


@given(npst.arrays(np.float32, (1, FEW_NUMBERS), elements=probabilities))
def test_few_numbers_are_rounded_as_many_are(few: np.ndarray) -> None:
    many = np.repeat(few, 5, axis=0)
    assert round_probabilities(many) == round_probabilities(few) * 5
    assert round_probabilities(few) == np.round(few.astype(np.float64), DECIMALS).tolist()


@given(npst.arrays(np.float32, (1, 3), elements=st.floats(-2, 2, width=32) | st.just(np.float32("nan"))))
def test_few_rows_are_compared_with_the_range_as_many_are(few: np.ndarray) -> None:
    """Missing values are never outside, open bounds never exceeded."""
    low, high = np.asarray([-1, -np.inf, 0], np.float32), np.asarray([1, 0.5, np.inf], np.float32)
    many = np.repeat(few, FEW_ROWS + 1, axis=0)
    assert is_any_outside(low, high, many) == is_any_outside(low, high, few)
    expected = bool(((few < low) | (few > high)).any())
    assert is_any_outside(low, high, few) is expected


@pytest.mark.parametrize(
    "labels", [("a", "b", "c"), ("", "ünï code", "class"), ('quo"ted', "back\\slash", "line\nbreak")]
)
def test_rows_become_dictionaries_by_label_in_the_order_of_the_task(labels: tuple[str, ...]) -> None:
    rows = [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]
    found = make_labeller(labels)(rows)
    assert [list(row.items()) for row in found] == [list(zip(labels, row, strict=True)) for row in rows]
    assert json.loads(json.dumps(found)) == found

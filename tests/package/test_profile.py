"""Profiles describe the training data exactly, deterministically, and in bins that later data can be counted in."""

from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rookery.errors import PackageError
from rookery.fields.columns import Column
from rookery.package.profile import COUNTED_INTEGERS, NUMERIC_BINS, Categorical, Numeric, Profile, make_profile
from rookery.service.task import Classification, Regression

NUMBER = Column(name="x", field="x", kind="number")
INTEGER = Column(name="n", field="n", kind="integer")
TASK = Regression()

Values = npt.NDArray[np.float32]


def describe(column: Column, values: Values | list[float]) -> Numeric | Categorical:
    matrix = np.asarray(values, dtype=np.float32).reshape(-1, 1)
    return make_profile([column], matrix, np.zeros(len(matrix), dtype=np.float32), TASK).columns[0]


def describe_number(values: Values | list[float], column: Column = NUMBER) -> Numeric:
    found = describe(column, values)
    assert isinstance(found, Numeric)
    return found


def test_a_numbers_statistics_are_those_of_its_present_values() -> None:
    found = describe_number([1, 2, 3, 4, math.nan])
    assert (found.count, found.missing) == (4, 1)
    assert (found.minimum, found.maximum, found.mean) == (1.0, 4.0, 2.5)
    assert found.std == pytest.approx(math.sqrt(1.25))
    assert found.quantiles["0.5"] == 2.5
    assert list(found.quantiles) == ["0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"]


def test_a_number_gets_twenty_bins_of_about_equal_counts_and_two_empty_open_ends() -> None:
    values = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    found = describe_number(values)
    assert len(found.edges) == NUMERIC_BINS + 1
    assert len(found.counts) == NUMERIC_BINS + 2
    assert (found.counts[0], found.counts[-1]) == (0, 0)
    assert sum(found.counts) == 10_000
    assert all(480 <= count <= 520 for count in found.counts[1:-1])


def test_values_outside_the_training_data_fall_into_the_open_ends() -> None:
    found = describe_number(np.linspace(10, 20, 500, dtype=np.float32))
    beyond = np.nextafter(np.float32(20), np.float32(99))
    tally = found.tally(np.asarray([9.99, -1e30, 10, 20, beyond, 1e30, math.nan], dtype=np.float32))
    assert (tally[0], tally[-1], sum(tally)) == (2, 2, 6)


def test_a_heap_of_equal_values_makes_fewer_bins_and_no_edge_twice() -> None:
    found = describe_number([0.0] * 900 + list(range(1, 101)))
    assert len(set(found.edges)) == len(found.edges) < NUMERIC_BINS
    assert found.counts[1] == 900


def test_a_constant_column_has_one_bin() -> None:
    found = describe_number([7.0] * 30)
    assert (found.edges[0], found.counts, found.std) == (7.0, (0, 30, 0), 0.0)


def test_few_different_integers_are_counted_by_value() -> None:
    found = describe_number([2007, 2009, 2009, 2008, 2009], INTEGER)
    assert found.edges == (2006.5, 2007.5, 2008.5, 2009.5)
    assert found.counts == (0, 1, 1, 3, 0)


def test_many_different_integers_are_binned_like_numbers() -> None:
    found = describe_number(list(range(COUNTED_INTEGERS + 1)), INTEGER)
    assert len(found.edges) == NUMERIC_BINS + 1
    assert sum(found.counts) == COUNTED_INTEGERS + 1


def test_categories_and_booleans_are_counted_by_code_with_unseen_ones_at_zero() -> None:
    island = Column(name="i", field="i", kind="category", categories=("a", "b", "c"))
    found = describe(island, [0, 2, 2, math.nan])
    assert isinstance(found, Categorical)
    assert (found.categories, found.counts, found.count, found.missing) == (("a", "b", "c"), (1, 0, 2), 3, 1)
    wild = describe(Column(name="w", field="w", kind="boolean"), [0, 1, 1])
    assert isinstance(wild, Categorical)
    assert (wild.categories, wild.counts) == ((False, True), (1, 2))
    assert wild.tally(np.asarray([1, 1, math.nan], dtype=np.float32)) == [0, 2]


@pytest.mark.parametrize("kind", ["number", "integer"])
def test_a_column_without_any_value_has_no_statistics_and_no_range(kind: str) -> None:
    column = Column(name="x", field="x", kind=kind, optional=True)  # type: ignore[arg-type]
    profile = make_profile([column], np.full((3, 1), np.nan, np.float32), np.zeros(3, np.float32), TASK)
    (found,) = profile.columns
    assert isinstance(found, Numeric)
    assert (found.count, found.missing, found.mean, found.counts) == (0, 3, None, (0,))
    assert [float(bound[0]) for bound in profile.ranges()] == [-np.inf, np.inf]
    assert Profile.from_json(profile.to_json()) == profile


def test_ranges_are_the_training_extremes_of_numbers_and_open_for_the_rest() -> None:
    columns = [NUMBER, Column(name="i", field="i", kind="category", categories=("a", "b")), INTEGER]
    matrix = np.asarray([[0.1, 0, 5], [0.7, 1, 3]], dtype=np.float32)
    low, high = make_profile(columns, matrix, np.zeros(2, np.float32), TASK).ranges()
    assert low.dtype == high.dtype == np.float32
    assert low.tolist() == [np.float32(0.1), -np.inf, 3]
    assert high.tolist() == [np.float32(0.7), np.inf, 5]


def test_a_classifications_outputs_are_labels_and_confidence_in_twenty_equal_bins() -> None:
    outputs = np.asarray([[0.9, 0.1], [0.4, 0.6], [0.0, 1.0]], dtype=np.float32)
    profile = make_profile([NUMBER], np.zeros((3, 1), np.float32), outputs, Classification("no", "yes"))
    label, confidence = profile.output("label"), profile.output("confidence")
    assert isinstance(label, Categorical)
    assert isinstance(confidence, Numeric)
    assert (label.categories, label.counts) == (("no", "yes"), (1, 2))
    assert confidence.edges == tuple(round(step / 20, 2) for step in range(21))
    assert sum(confidence.counts) == 3
    assert confidence.counts[-1] == 1, "certainty lies at the upper edge"
    assert profile.output("value") is None


def test_a_regressions_output_is_its_values_in_either_shape() -> None:
    matrix, values = np.zeros((50, 1), np.float32), np.arange(50, dtype=np.float32)
    flat = make_profile([NUMBER], matrix, values, TASK)
    assert flat == make_profile([NUMBER], matrix, values.reshape(-1, 1), TASK)
    value = flat.output("value")
    assert isinstance(value, Numeric)
    assert (value.minimum, value.maximum) == (0, 49)


finite = hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(width=32, allow_nan=True, allow_infinity=False))


@settings(deadline=None)
@given(finite, st.randoms(use_true_random=False))
def test_any_values_give_strict_json_that_reads_back_and_no_row_order_shows(values: Values, random: object) -> None:
    """Every row is in a bin or missing, and the bytes are the same in any order of the rows."""
    found = describe_number(values)
    assert sum(found.counts) == found.count == len(values) - found.missing
    profile = Profile(rows=len(values), columns=(found,), outputs=())
    data = profile.to_json()
    json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert Profile.from_json(data) == profile
    assert describe_number(values[::-1].copy()) == found
    assert list(found.counts) == found.tally(values)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"counts": [1]}, "one bin more than edges"),
        ({"edges": [2.0, 1.0, 3.0]}, "edges must ascend"),
        ({"mean": "high"}, "mean"),
        ({"surprise": 1}, "surprise"),
        ({"kind": "colour"}, "columns"),
    ],
)
def test_what_is_no_profile_is_refused_with_the_entry(change: dict[str, object], reason: str) -> None:
    profile = json.loads(Profile(rows=2, columns=(describe_number([1, 2]),), outputs=()).to_json())
    profile["columns"][0].update(change)
    with pytest.raises(PackageError, match=rf"profile\.json: .*{reason}"):
        Profile.from_json(json.dumps(profile).encode())


def test_counts_of_other_categories_are_refused() -> None:
    with pytest.raises(ValueError, match="one count per category"):
        Categorical(name="i", count=1, missing=0, categories=("a", "b"), counts=(1,))

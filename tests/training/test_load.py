"""Loading: rows that a request could not bring are no training rows, and what is wrong is said precisely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import BaseModel, Field

from rookery.errors import DataError
from rookery.service.dataset import Dataset
from rookery.training.load import load_training_data
from tests.training.samples import as_table, changed, point_columns, points

Change = Callable[[dict[str, list[Any]], list[Any]], Any]


def _set(field: str, row: int, value: Any) -> Change:
    return lambda columns, target: columns[field].__setitem__(row, value)


def _give(columns: Any, target: Any) -> Callable[[], Dataset]:
    return lambda: Dataset(columns=columns, target=target)


def _keep(rows: int) -> Change:
    def change(columns: dict[str, list[Any]], target: list[Any]) -> None:
        for values in (*columns.values(), target):
            del values[rows:]

    return change


BROKEN: dict[str, tuple[Change, str]] = {
    "missing column": (lambda columns, _: columns.pop("x"), "no column 'x'"),
    "misspelt column": (lambda columns, _: columns.update(colours=columns.pop("colour")), "is it 'colours'?"),
    "unequal lengths": (lambda columns, _: columns["y"].pop(), "differ in length"),
    "target too short": (lambda _, target: target.pop(), "239 values for 240 rows"),
    "out of range": (_set("x", 7, 2000.0), "row 7 x"),
    "missing value": (_set("y", 3, float("nan")), "row 3 y"),
    "infinite value": (_set("y", 3, float("inf")), "row 3 y"),
    "text for a number": (_set("y", 4, "tall"), "row 4 y"),
    "fraction for an integer": (_set("count", 5, 2.5), "row 5 count"),
    "unknown category": (_set("colour", 9, "green"), "row 9 colour"),
    "broken rule": (_set("x", 11, 60.0), "x is beyond the fence"),
    "no JSON value": (_set("x", 2, 1j), "row 2"),
    "unseen label": (lambda _, target: target.__setitem__(0, "fat"), "is 'fat' meant to be 'far'?"),
    "missing label": (lambda _, target: target.__setitem__(6, None), "missing in 1 of 240 rows (row 6)"),
    "NaN label": (lambda _, target: target.__setitem__(6, float("nan")), "missing in 1 of 240 rows (row 6)"),
    "three rows": (_keep(3), "3 training rows are too few"),
    "no rows": (_keep(0), "0 training rows are too few"),
    "one class": (lambda _, target: target.__setitem__(slice(None), ["near"] * 240), "'far' (0)"),
    "rare class": (lambda _, t: t.__setitem__(slice(None), ["near"] * 235 + ["far"] * 5), "'far' (5)"),
    "constant column": (lambda columns, _: columns.update(y=[1.5] * 240), "'y' is constant (1.5 in all 240 rows)"),
    "constant category": (lambda columns, _: columns.update(colour=["red"] * 240), "'colour' is constant (red"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_training_data_is_refused_and_the_place_is_named(name: str) -> None:
    change, words = BROKEN[name]
    with pytest.raises(DataError) as caught:
        load_training_data(changed(change))
    assert words in caught.value.message
    assert caught.value.message.startswith("points: ")
    assert caught.value.cure


def test_many_bad_rows_are_counted_and_only_the_first_are_shown() -> None:
    def change(columns: dict[str, list[Any]], _: list[Any]) -> None:
        columns["x"][10:50] = [999.0] * 40

    with pytest.raises(DataError, match="40 of 240 rows would be refused") as caught:
        load_training_data(changed(change))
    assert "row 14 x" in caught.value.message
    assert "row 15 x" not in caught.value.message
    assert "and 35 more" in caught.value.message


def test_a_category_that_no_row_has_is_refused() -> None:
    from typing import Literal

    class Coloured(BaseModel):
        x: float
        colour: Literal["red", "blue", "green"]

    columns, target = point_columns()
    service = points(lambda: Dataset(columns=columns, target=target), input=Coloured, derived={}, rules=[])
    with pytest.raises(DataError, match="allows 'green', which no training row has"):
        load_training_data(service)


def test_lists_arrays_and_data_frames_give_the_same_rows_and_the_same_digest() -> None:
    columns, target = point_columns()
    arrays = {name: np.array(values) for name, values in columns.items()}
    forms: list[Any] = [columns, arrays, as_table(columns)]
    loaded = [load_training_data(points(_give(form, target))) for form in forms]
    assert len({data.digest for data in loaded}) == 1
    assert all(np.array_equal(data.matrix, loaded[0].matrix) for data in loaded)


def test_the_digest_changes_with_any_value_any_outcome_and_the_order() -> None:
    def swap(columns: dict[str, list[Any]], target: list[Any]) -> None:
        for values in (*columns.values(), target):
            values[0], values[1] = values[1], values[0]

    original = load_training_data(points()).digest
    variants = [
        changed(_set("x", 0, 0.123)),
        changed(_set("colour", 0, "blue" if point_columns()[0]["colour"][0] == "red" else "red")),
        changed(lambda _, t: t.__setitem__(0, "near" if t[0] == "far" else "far")),
        changed(swap),
    ]
    assert len({original, *(load_training_data(variant).digest for variant in variants)}) == 5


def test_a_float_column_with_whole_numbers_serves_an_integer_field() -> None:
    service = changed(lambda columns, _: columns.update(count=[float(value) for value in columns["count"]]))
    assert np.array_equal(load_training_data(service).matrix, load_training_data(points()).matrix)


def test_labels_are_matched_by_their_text_whatever_their_type() -> None:
    from rookery.service.task import Classification

    columns, target = point_columns()
    numbers = np.array([1.0 if label == "far" else 0.0 for label in target])
    service = points(lambda: Dataset(columns=columns, target=numbers), task=Classification(0, 1))
    assert load_training_data(service).target.tolist() == numbers.astype(int).tolist()


def test_a_vector_may_come_as_one_column_or_one_per_element() -> None:
    class Vector(BaseModel):
        v: tuple[Annotated[float, Field(ge=-100)], float]

    columns, target = point_columns()
    pairs = list(zip(columns["x"], columns["y"], strict=True))
    apart = {"v[0]": columns["x"], "v[1]": columns["y"]}
    whole, split = (
        load_training_data(points(_give(form, target), input=Vector, derived={}, rules=[]))
        for form in ({"v": np.array(pairs)}, apart)
    )
    assert np.array_equal(whole.matrix, split.matrix)
    assert whole.digest == split.digest


def test_missing_values_of_optional_fields_become_nan_and_are_noted() -> None:
    class Loose(BaseModel):
        x: float
        y: float | None = None

    columns, target = point_columns()
    columns["y"][4] = float("nan")
    columns["y"][5] = None
    service = points(lambda: Dataset(columns=columns, target=target), input=Loose, derived={}, rules=[])
    data = load_training_data(service)
    assert np.flatnonzero(np.isnan(data.matrix[:, 1])).tolist() == [4, 5]
    assert "y is missing in 2 of 240 rows" in data.notes


def test_repeated_and_contradicting_rows_are_noted() -> None:
    def change(columns: dict[str, list[Any]], target: list[Any]) -> None:
        for values in columns.values():
            values[1] = values[2] = values[0]
        target[0], target[1], target[2] = "near", "near", "far"

    notes = " ".join(load_training_data(changed(change)).notes)
    assert "2 rows repeat the inputs" in notes
    assert "1 of them contradict" in notes


def test_a_service_without_data_and_a_wrong_return_are_named() -> None:
    with pytest.raises(DataError, match="declares no data"):
        load_training_data(replace(points(), data=None, candidates={}))
    with pytest.raises(DataError, match="returned dict"):
        load_training_data(points(lambda: {"x": []}))  # type: ignore[arg-type, return-value]


def test_a_regression_refuses_outcomes_that_are_no_finite_numbers() -> None:
    from rookery.service.task import Regression

    columns, _ = point_columns()
    cases: list[tuple[Any, str]] = [
        ("tall", "no number in 1 rows"),
        (float("inf"), "infinite"),
        (1e39, "beyond float32"),
    ]
    for value, words in cases:
        target = [float(row) for row in range(240)]
        target[8] = value
        service = points(_give(columns, target), task=Regression(), gate=_no_gate())
        with pytest.raises(DataError, match=words) as caught:
            load_training_data(service)
        assert "row 8" in caught.value.message


def test_a_constant_outcome_is_refused() -> None:
    from rookery.service.task import Regression

    columns, _ = point_columns()
    service = points(lambda: Dataset(columns=columns, target=[2.5] * 240), task=Regression(), gate=_no_gate())
    with pytest.raises(DataError, match=r"the target is 2\.5 in every row"):
        load_training_data(service)


def _no_gate() -> Any:
    from rookery.service.policies import Gate

    return Gate()

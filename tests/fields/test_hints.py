"""Hints about what a person probably meant."""

from __future__ import annotations

from typing import Any

import pytest

from rookery.fields.columns import Column
from rookery.fields.hints import describe_column, describe_range, list_names, nearest, show, unit_hint, with_unit


def column(**facts: Any) -> Column:
    return Column(**{"name": "x", "field": "x", "kind": "number", **facts})


@pytest.mark.parametrize(
    ("unit", "low", "high", "value", "hint"),
    [
        ("g", 1000, 8000, 3.75, "is it in kilograms?"),
        ("kg", 1, 8, 3750, "is it in grams?"),
        ("g", 1000, 8000, 8.27, "is it in pounds?"),
        ("kg", 50, 150, 154.3, "is it in pounds?"),
        ("mm", 150, 250, 18.1, "is it in centimetres?"),
        ("mm", 150, 250, 0.181, "is it in metres?"),
        ("cm", 10, 30, 181, "is it in millimetres?"),
        ("m", 100, 200, 500, "is it in feet?"),
        ("°C", -40, 50, 75, "is it in degrees Fahrenheit?"),
        ("°C", -40, 50, 293, "is it in kelvins?"),
        ("°F", 0, 120, -10, "is it in degrees Celsius?"),
        ("K", 250, 330, 20, "is it in degrees Celsius?"),
        ("%", 1, 100, 0.35, "is it in a share of 1?"),
        ("s", 1, 60, 5000, "is it in milliseconds?"),
        ("grams", 1000, 8000, 3.75, "is it in kilograms?"),
        (None, 1000, 8000, 3.75, "multiplied by 1000 it would fit; is it in another unit?"),
        ("parsecs", 1, 8, 37, "divided by 10 it would fit; is it in another unit?"),
        (None, 0, 1, 35, "divided by 100 it would fit; is it in another unit?"),
        ("g", 1000, 8000, -5, None),
        ("g", 1000, 8000, 0, None),
        ("g", 1000, 8000, float("inf"), None),
        (None, 1000, 1001, 5, None),
        ("°C", 10, 11, 1000, None),
        (None, None, 10, 35, None),
    ],
)
def test_a_value_in_another_unit_is_recognised(
    unit: str | None, low: float | None, high: float, value: float, hint: str | None
) -> None:
    assert unit_hint(column(unit=unit, minimum=low, maximum=high), value) == hint


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("bill_lenght_mm", ["bill_depth_mm", "bill_length_mm"], "bill_length_mm"),
        ("MEDINC", ["MedInc", "HouseAge"], "MedInc"),
        ("torgerson", ["Torgersen", "Dream"], "Torgersen"),
        ("zebra", ["Torgersen", "Dream"], None),
        ("", ["Dream"], None),
        ("x" * 10**6, ["Dream"], None),
    ],
)
def test_the_nearest_known_word_is_found_whatever_its_case(word: str, known: list[str], found: str | None) -> None:
    assert nearest(word, known) == found


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, ""),
        ({"minimum": 2000.0, "maximum": 7000.0, "unit": "g"}, "2000 to 7000 g"),
        ({"minimum": 0.0}, "at least 0"),
        ({"kind": "integer", "minimum": -(2.0**24), "maximum": 2.0**24}, ""),
        ({"maximum": 1.5, "unit": "%"}, "at most 1.5%"),
        ({"exclusive_minimum": 0.0, "maximum": 1.0}, "at most 1 and above 0"),
        ({"exclusive_minimum": 0.0, "exclusive_maximum": 1.0}, "above 0 and below 1"),
    ],
)
def test_ranges_are_told_in_words(facts: dict[str, Any], words: str) -> None:
    assert describe_range(column(**facts)) == words


def test_columns_are_told_in_words() -> None:
    assert describe_column(column()) == "a number"
    assert describe_column(column(unit="mm")) == "a number in mm"
    assert describe_column(column(kind="integer", minimum=1.0)) == "a whole number, at least 1"
    assert describe_column(column(kind="boolean")) == "true or false"
    assert describe_column(column(kind="category", categories=("a", 3))) == "one of 'a', 3"
    assert with_unit(column(unit="°")) == "°"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (3.0, "3"),
        (3.75, "3.75"),
        (-(10**400), "an integer of 1329 bits"),
        (float("nan"), "nan"),
        ("it's", "'it's'"),
        ("two\nlines\x00", "'two lines '"),
        ("\ud800", "'?'"),
        (b"\xff\xfe", "'��'"),
        ("x" * 100, "'" + "x" * 80 + "…'"),
        ([1, 2], "a list of 2"),
        ({"a": 1}, "an object"),
    ],
)
def test_values_are_shown_short_and_harmless(value: Any, shown: str) -> None:
    assert show(value) == shown


def test_long_lists_of_names_are_cut() -> None:
    assert list_names(range(25)).endswith("18, 19 and 5 more")

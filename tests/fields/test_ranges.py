"""Warnings about values beyond the training data's range."""

from __future__ import annotations

import numpy as np

from rookery.fields.ranges import range_warnings
from tests.fields.models import PENGUIN_SCHEMA, floats

LOW = floats([32.1, 13.1, 2700, 2007, -np.inf, -np.inf])
HIGH = floats([59.6, 21.5, 6300, 2009, np.inf, np.inf])
TYPICAL = (39.1, 18.7, 3750, 2007, 0, 1)


def warnings(*rows: tuple[float, ...]) -> dict[int, list[str]]:
    return range_warnings(PENGUIN_SCHEMA, LOW, HIGH, np.array(rows, dtype=np.float32).reshape(-1, 6))


def test_rows_within_the_range_and_on_its_ends_have_no_warnings() -> None:
    assert warnings() == {}
    assert warnings(TYPICAL, (32.1, 13.1, 2700, 2009, 1, 2), (59.6, 21.5, 6300, 2007, 0, 0)) == {}


def test_a_missing_value_is_not_outside() -> None:
    assert warnings((39.1, 18.7, 3750, 2007, np.nan, 1)) == {}


def test_each_value_outside_is_told_with_its_unit_and_the_bound() -> None:
    assert warnings(TYPICAL, (30.5, 18.7, 6400, 2007, 0, 1), TYPICAL, (39.1, 18.7, 3750, 2024, 0, 1)) == {
        1: [
            "bill_length_mm=30.5 is below the training data's minimum 32.1 mm",
            "body_mass_g=6400 is above the training data's maximum 6300 g",
        ],
        3: ["year=2024 is above the training data's maximum 2009"],
    }

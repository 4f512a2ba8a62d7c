"""Made-up inputs: the good one is accepted by the schema, every bad one is not."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from rookery.fields.schema import read_input_model
from rookery.testing.inputs import bad_bodies, bad_rows, example_row, outlying_rows


class Everything(BaseModel):
    """A column of every kind."""

    mass: float = Field(ge=1, le=9, examples=[3.5])
    count: int = Field(gt=0, lt=100, examples=[7])
    is_wild: bool = Field(examples=[True])
    island: Literal["Biscoe", "Dream"] = Field(examples=["Dream"])
    depth: float | None = Field(None, ge=0, le=5)
    lengths: tuple[float, float] = Field(examples=[[1.0, 2.0]])


SCHEMA = read_input_model(Everything)


def accepts(body: bytes) -> bool:
    try:
        SCHEMA.model.model_validate_json(body)
    except ValidationError:
        return False
    return True


def test_the_example_is_accepted() -> None:
    """The fields' examples make an input that the schema accepts."""
    row = example_row(SCHEMA)
    assert row == {
        "mass": 3.5,
        "count": 7,
        "is_wild": True,
        "island": "Dream",
        "depth": None,
        "lengths": [1.0, 2.0],
    }
    assert accepts(json.dumps(row).encode())


def test_without_examples_there_is_no_example() -> None:
    """A required field without an example leaves the choice to the golden cases."""

    class Bare(BaseModel):
        mass: float

    assert example_row(read_input_model(Bare)) is None


def test_every_bad_input_is_bad() -> None:
    """No input that is called bad would be accepted."""
    good = example_row(SCHEMA)
    assert good is not None
    accepted = [bad.what for bad in (*bad_rows(SCHEMA, good), *bad_bodies(SCHEMA, good)) if accepts(bad.body)]
    assert accepted == []


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ("mass", "mass missing"),
        ("mass", "mass: a number above the limits"),
        ("mass", "mass: null"),
        ("count", "count: a fraction for a whole number"),
        ("is_wild", "is_wild: a text for a truth"),
        ("island", "island: an unknown category"),
        ("depth", "depth: a number below the limits"),
        ("lengths", "lengths too long"),
        ("lengths", "lengths[1]: a text for a number"),
        ("mass_", "an unknown field"),
    ],
)
def test_each_kind_of_fault_is_made(field: str, fault: str) -> None:
    """Every kind of column gets the faults that it can have, with the field to be blamed."""
    good = example_row(SCHEMA)
    assert good is not None
    faults = {bad.what: bad.field for bad in bad_rows(SCHEMA, good)}
    assert faults[fault] == field


def test_an_optional_field_may_be_null() -> None:
    """What a field allows is not called a fault."""
    good = example_row(SCHEMA)
    assert good is not None
    faults = {bad.what for bad in bad_rows(SCHEMA, good)}
    assert "depth: null" not in faults
    assert "depth missing" not in faults


def test_outliers_lie_beyond_the_training_range_and_within_the_limits() -> None:
    """An outlier is accepted by the schema, but beyond what was seen; where the limits leave no room there is none."""
    good = example_row(SCHEMA)
    assert good is not None
    rows = dict(outlying_rows(SCHEMA, good, {"mass": 2, "lengths[0]": 0}, {"mass": 8, "lengths[0]": 1}))
    assert set(rows) == {"mass", "lengths[0]"}
    assert 8 < rows["mass"]["mass"] <= 9
    assert rows["lengths[0]"]["lengths"][0] > 1
    assert all(accepts(json.dumps(row).encode()) for row in rows.values())
    assert dict(outlying_rows(SCHEMA, good, {"mass": 1}, {"mass": 9})) == {}

"""Inputs encoded as rows of float32, and rows decoded into inputs."""

from __future__ import annotations

import json
import math
from typing import Any, Literal, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, create_model, field_validator

from rookery.errors import DataError
from rookery.fields.encoder import Encoder
from rookery.fields.schema import read_input_model, rebuild_schema
from tests.fields.models import (
    EVERYTHING,
    EVERYTHING_SCHEMA,
    PENGUIN,
    PENGUIN_SCHEMA,
    floats,
    models,
    read,
    valid_values,
)

NAN = math.nan


def encode(schema: Any, *values: Any) -> np.ndarray:
    return Encoder(schema).encode_rows([read(schema, value) for value in values])


def schema_of(**fields: Any) -> Any:
    return read_input_model(create_model("Drawn", **fields))


def test_a_row_holds_numbers_codes_truths_and_nan_for_what_is_missing() -> None:
    matrix = encode(EVERYTHING_SCHEMA, EVERYTHING)
    expected = [-1.5, 0.25, 12, 1, NAN, NAN, NAN, 1, 1, 0, 1, 1, 1, 2.5, 3, 0.5, 9]
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, np.array([expected], dtype=np.float32))


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 64, 1000])
def test_rows_keep_their_order_whatever_their_number(rows: int) -> None:
    values = [{**PENGUIN, "body_mass_g": 1000 + i, "sex": [None, "male", "female"][i % 3]} for i in range(rows)]
    matrix = encode(PENGUIN_SCHEMA, *values)
    assert matrix.shape == (rows, 6)
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix[:, 2], np.arange(1000, 1000 + rows, dtype=np.float32))
    np.testing.assert_array_equal(matrix[:, 4], np.resize(floats([NAN, 0, 1]), rows))


def test_a_schema_of_one_vector_is_encoded_whole() -> None:
    """Iris: a single field with all the features."""
    schema = schema_of(features=(list[float], Field(min_length=4, max_length=4)))
    rows = [{"features": [5.1, 3.5, 1.4, 0.2]}, {"features": [6, 3, 5, 2]}]
    np.testing.assert_array_equal(encode(schema, *rows), floats([[5.1, 3.5, 1.4, 0.2], [6, 3, 5, 2]]))


def test_vectors_between_plain_fields_keep_their_places() -> None:
    vector = (list[float | None], Field(min_length=2, max_length=2))
    schema = schema_of(a=(float, ...), v=vector, b=(int, ...), w=vector)
    rows = [{"a": 1, "v": [2, None], "b": 4, "w": [5, 6]}, {"a": 7, "v": [8, 9], "b": 10, "w": [None, 12]}]
    np.testing.assert_array_equal(encode(schema, *rows), floats([[1, 2, NAN, 4, 5, 6], [7, 8, 9, 10, NAN, 12]]))


def test_enum_members_and_their_values_have_one_code() -> None:
    """A model's own members, and the plain values of a rebuilt model, encode alike."""
    rebuilt = rebuild_schema("Everything", EVERYTHING_SCHEMA.columns)
    assert encode(EVERYTHING_SCHEMA, EVERYTHING).tobytes() == encode(rebuilt, EVERYTHING).tobytes()


def test_a_category_that_a_validator_made_up_is_an_error_that_names_it() -> None:
    class Made(BaseModel):
        kind: Literal["a", "b"]

        @field_validator("kind")
        @classmethod
        def _change(cls, value: str) -> str:
            return value.upper() if value == "b" else value

    schema = read_input_model(Made)
    with pytest.raises(DataError, match=r"column 'kind', row 1: 'B' is not one of 'a', 'b'"):
        encode(schema, {"kind": "a"}, {"kind": "b"})


@pytest.mark.filterwarnings("error")
def test_finite_numbers_that_float32_cannot_hold_are_found_by_row() -> None:
    """The JSON of 1e300 is valid; its row is named, and no warning is printed."""
    schema = schema_of(x=(float | None, ...), y=(float, Field(ge=0, le=1)))
    encoder = Encoder(schema)
    matrix = encode(schema, *({"x": x, "y": 0.5} for x in (1, 1e300, None, 3.4e38, -1e39)))
    assert encoder.overflowing(matrix).tolist() == [1, 4]
    assert encoder.overflowing(matrix[:1]).tolist() == []


def test_columns_with_bounds_within_float32_cannot_overflow() -> None:
    encoder = Encoder(PENGUIN_SCHEMA)
    assert encoder.overflowing(encode(PENGUIN_SCHEMA, PENGUIN)).tolist() == []
    wide = Encoder(schema_of(x=(float, Field(ge=-1e300, le=1e300))))
    assert wide.overflowing(floats([[np.inf], [0]])).tolist() == [0]


def test_a_decoded_row_is_the_input_a_person_would_write() -> None:
    row = encode(PENGUIN_SCHEMA, {**PENGUIN, "sex": None})[0]
    assert Encoder(PENGUIN_SCHEMA).decode_row(row) == {**PENGUIN, "sex": None}
    decoded = Encoder(EVERYTHING_SCHEMA).decode_row(encode(EVERYTHING_SCHEMA, EVERYTHING)[0])
    assert decoded == {**EVERYTHING, "maybe": None, "maybe_count": None, "mixed": "x", "colour": "blue"}
    assert type(decoded["count"]) is int
    assert decoded["flag"] is True


@pytest.mark.filterwarnings("ignore:.*shadows an attribute:UserWarning")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_row_decodes_to_a_valid_input_that_encodes_to_it(data: st.DataObject) -> None:
    schema = read_input_model(data.draw(models()))
    encoder = Encoder(schema)
    row = encode(schema, data.draw(valid_values(schema)))[0]
    decoded = json.loads(json.dumps(encoder.decode_row(row), allow_nan=False))
    np.testing.assert_array_equal(encode(schema, decoded)[0], row)


@given(st.floats(-1e6, 1e6), st.sampled_from(["ge", "gt", "le", "lt"]))
def test_decoded_numbers_respect_bounds_that_float32_cannot_spell(value: float, keyword: str) -> None:
    """A value on a bound such as 0.1 rounds beyond it; the decoded input is moved back onto the allowed side."""
    toward: dict[str, Any] = {
        "ge": value,
        "le": value,
        "gt": math.nextafter(value, math.inf),
        "lt": math.nextafter(value, -math.inf),
    }
    schema = schema_of(x=(float, Field(**{keyword: cast(Any, value)})))
    row = encode(schema, {"x": toward[keyword]})[0]
    decoded = Encoder(schema).decode_row(row)
    np.testing.assert_array_equal(encode(schema, decoded)[0], row)


@pytest.mark.parametrize(
    ("position", "value"),
    [(0, NAN), (0, math.inf), (1, -1.0), (2, 0.5), (2, 2.0**25), (3, 2.0), (7, 3.0), (7, -1.0), (7, 0.5), (7, NAN)],
)
def test_what_no_input_encodes_to_is_refused(position: int, value: float) -> None:
    row = encode(EVERYTHING_SCHEMA, EVERYTHING)[0]
    row[position] = value
    with pytest.raises(DataError, match=EVERYTHING_SCHEMA.columns[position].name):
        Encoder(EVERYTHING_SCHEMA).decode_row(row)


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match="does not fit 6 columns"):
        Encoder(PENGUIN_SCHEMA).decode_row(np.zeros(5, dtype=np.float32))


@settings(max_examples=40, deadline=None)
@given(st.lists(valid_values(EVERYTHING_SCHEMA), min_size=1, max_size=5))
def test_rows_and_columns_encode_alike(rows: list[dict[str, Any]]) -> None:
    """The same inputs as objects and as a table give the same bytes."""
    objects = [read(EVERYTHING_SCHEMA, values) for values in rows]
    table = {name: [getattr(item, name) for item in objects] for name in EVERYTHING_SCHEMA.model.model_fields}
    encoder = Encoder(EVERYTHING_SCHEMA)
    assert encoder.encode_columns(table).tobytes() == encoder.encode_rows(objects).tobytes()


def test_a_table_refuses_what_a_request_refuses() -> None:
    """Bounds hold for training data and batch files as they hold for requests."""
    broken = {**PENGUIN, "bill_length_mm": 19.9}
    with pytest.raises(ValidationError):
        read(PENGUIN_SCHEMA, broken)
    with pytest.raises(DataError):
        Encoder(PENGUIN_SCHEMA).encode_columns({name: [value] for name, value in broken.items()})

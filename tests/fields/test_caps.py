"""Bodies that are refused unread."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import create_model

from rookery.fields.caps import SPARE_VALUES, ValueCap
from rookery.fields.schema import read_input_model
from tests.fields.models import EVERYTHING_SCHEMA, PENGUIN, PENGUIN_SCHEMA, valid_values


@pytest.mark.parametrize(
    "body",
    [
        b'{"rows":[' + b"{}," * 1_100 + b"{}]}",
        b'{"rows":[' + b"1," * 20_000 + b"1]}",
        json.dumps({str(number): 1 for number in range(20_000)}).encode(),
        b'{"rows":[' + b"[[],[]]," * 20_000 + b"[]]}",
        b'{"a":' * 20_000,
        b'"' + b"\xff," * 20_000,
    ],
    ids=["empty rows", "numbers", "unknown fields", "lists", "nested objects", "no UTF-8"],
)
def test_a_body_with_more_values_than_its_inputs_need_is_refused(body: bytes) -> None:
    assert ValueCap(PENGUIN_SCHEMA, rows=1000).is_exceeded(body)


def test_ordinary_mistakes_are_left_to_be_explained() -> None:
    """A thousand unknown fields are still described by name; a long text is one value."""
    cap = ValueCap(PENGUIN_SCHEMA, rows=1)
    assert not cap.is_exceeded(json.dumps({**PENGUIN, **{str(n): 1 for n in range(SPARE_VALUES - 10)}}).encode())
    assert not cap.is_exceeded(json.dumps({**PENGUIN, "island": "x" * 10**6}).encode())
    assert not cap.is_exceeded(b"")


def test_a_full_batch_fits_even_with_white_space() -> None:
    cap = ValueCap(PENGUIN_SCHEMA, rows=1000)
    assert not cap.is_exceeded(json.dumps({"rows": [PENGUIN] * 1000}, indent=8).encode())


def test_separators_within_categories_are_counted_in() -> None:
    name = "a,{b:c}," * 20
    named: Any = Literal[name]
    schema = read_input_model(create_model("M", x=(named, ...)))
    assert not ValueCap(schema, rows=1000).is_exceeded(json.dumps({"rows": [{"x": name}] * 1000}).encode())


@settings(deadline=None, max_examples=30)
@given(st.lists(valid_values(EVERYTHING_SCHEMA), min_size=1, max_size=5), st.integers(1, 40))
def test_no_valid_batch_within_its_rows_is_refused(rows: list[dict[str, Any]], times: int) -> None:
    assert not ValueCap(EVERYTHING_SCHEMA, rows=len(rows) * times).is_exceeded(
        json.dumps({"rows": rows * times}).encode()
    )

"""Canonical JSON has one form for one value, and none for what JSON does not know."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import PackageError
from rookery.package.digests import canonical_json, readable_json, sha256_hex

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(values)
def test_any_value_reads_back_and_is_written_the_same_again(value: Any) -> None:
    data = canonical_json(value)
    assert json.loads(data) == value
    assert canonical_json(json.loads(data)) == data
    assert json.loads(readable_json(value)) == value


def test_the_order_of_keys_does_not_show() -> None:
    assert canonical_json({"b": 1, "a": [1.5, "é"]}) == canonical_json({"a": [1.5, "é"], "b": 1})
    assert canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()


def endless() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"x": object()}, b"bytes", "\ud800", endless()])
def test_what_json_does_not_know_is_refused(value: Any) -> None:
    with pytest.raises(PackageError, match="cannot be written as JSON"):
        canonical_json(value)


def test_sha256_is_that_of_the_standard() -> None:
    """The one-block example of FIPS 180-4."""
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

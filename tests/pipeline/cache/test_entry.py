"""What comes back from a store that anyone may have written to is the entry that was put there, or nothing."""

from __future__ import annotations

import json
import pickle
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rookery.pipeline.cache.entry import HEADER, MAX_VALUE_BYTES, Entry, decode_entry, encode_entry

KEY = b"rookery:cache:1:features:00"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
PARTS = st.dictionaries(st.text(max_size=20), JSON.filter(lambda value: value == value).map(msgspec.json.encode))
ENTRIES = st.builds(Entry, parts=PARTS, outputs=st.lists(st.floats(width=32)).map(lambda row: b"\0" * 4 * len(row)))
SAMPLE = Entry({"keypoints": b'[{"x":1.5,"y":2}]', "descriptors": b"null"}, b"\0\0\x80?" * 3)


def forge(payload: bytes) -> bytes:
    """Return a stored value whose header and digest are right, whatever it holds."""
    digest = blake2b(payload, digest_size=16, person=b"rookery-entry-1").digest()
    return HEADER + digest + payload


def stored(entry: Entry = SAMPLE) -> bytes:
    value = encode_entry(KEY, entry)
    assert value is not None
    return value


@given(ENTRIES)
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    assert decode_entry(KEY, stored(entry)) == entry


def test_every_truncation_is_a_miss() -> None:
    value = stored()
    assert all(decode_entry(KEY, value[:length]) is None for length in range(len(value)))
    assert decode_entry(KEY, value + b"\0") is None


def test_every_flipped_bit_is_a_miss() -> None:
    value = stored()
    for position in range(8 * len(value)):
        damaged = bytearray(value)
        damaged[position // 8] ^= 1 << position % 8
        assert decode_entry(KEY, bytes(damaged)) is None, position


def test_an_entry_under_another_key_is_a_miss() -> None:
    assert decode_entry(KEY[:-1] + b"1", stored()) is None
    assert decode_entry(b"", stored()) is None


@given(st.binary())
@example(b"")
@example(HEADER)
@example(pickle.dumps({"keypoints": b"[]"}))
@example(msgspec.msgpack.encode({"key": KEY, "parts": {}, "outputs": b""}))
def test_random_rubbish_is_a_miss_with_and_without_a_right_digest(rubbish: bytes) -> None:
    for value in (rubbish, HEADER + rubbish, forge(rubbish)):
        assert decode_entry(KEY, value) is None


@pytest.mark.parametrize(
    "wire",
    [
        {"key": KEY, "parts": {}, "outputs": b""},
        [KEY, {}],
        [KEY, {}, b"", 1],
        [KEY, [], b""],
        [KEY, None, b""],
        [KEY, {"a": "1"}, b""],
        [KEY, {"a": 1}, b""],
        [KEY, {1: b"1"}, b""],
        [KEY, {"a": b"1"}, None],
        [KEY, {"a": b"1"}, 1.5],
        [KEY, {"a": b"1"}, b"abc"],
        [KEY.decode(), {"a": b"1"}, b""],
        [b"another", {"a": b"1"}, b""],
        [[[[[KEY]]]]],
        7,
        None,
    ],
    ids=repr,
)
def test_another_structure_is_a_miss_even_with_a_right_digest(wire: Any) -> None:
    assert decode_entry(KEY, forge(msgspec.msgpack.encode(wire))) is None


@pytest.mark.parametrize("head", [b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\x93\xc6", b"\x93\xc4\x01k\xdf", b"\xc9"])
def test_a_length_of_four_gigabytes_is_a_miss_that_allocates_nothing(head: bytes) -> None:
    assert decode_entry(KEY, forge(head + b"\xff\xff\xff\xff" + b"\0" * 16)) is None


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b" ",
        b"1,2",
        b'1,"admin":true',
        b"{",
        b"[1",
        b"]",
        b'"open',
        b'{"a":}',
        b"NaN",
        b"Infinity",
        b"01",
        b"1.",
        b"nul",
        b"'a'",
        b'"\x01"',
        b'"\n"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\x"',
        b'{"\xff":1}',
        b"[1]]",
        b"\xef\xbb\xbf1",
        b"1\0",
        b"[" * 200_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"1" * 5_000,
        pickle.dumps([1]),
    ],
    ids=lambda part: repr(part[:12]),
)
def test_a_part_that_is_no_json_is_a_miss_even_with_a_right_digest(part: bytes) -> None:
    """It would be spliced into an answer as it is."""
    assert decode_entry(KEY, forge(msgspec.msgpack.encode([KEY, {"good": b"1", "bad": part}, b""]))) is None


@given(st.binary(max_size=12) | st.text('[]{}",:0123456789.eE+-truefalsn \\u', max_size=12).map(str.encode))
def test_every_part_that_is_let_through_keeps_an_answer_json(part: bytes) -> None:
    entry = decode_entry(KEY, forge(msgspec.msgpack.encode([KEY, {"a": part}, b""])))
    if entry is not None:
        answer = json.loads(b'{"before":1,"a":%b,"after":2}' % entry.parts["a"])
        assert list(answer) == ["before", "a", "after"]
        assert (answer["before"], answer["after"]) == (1, 2)


def test_the_limit_holds_both_ways_to_the_byte() -> None:
    value = stored()
    assert encode_entry(KEY, SAMPLE, limit=len(value)) == value
    assert encode_entry(KEY, SAMPLE, limit=len(value) - 1) is None
    assert decode_entry(KEY, value, limit=len(value)) == SAMPLE
    assert decode_entry(KEY, value, limit=len(value) - 1) is None
    assert encode_entry(KEY, Entry({"a": b'"' + b"x" * MAX_VALUE_BYTES + b'"'})) is None


def test_an_entry_cannot_be_exchanged() -> None:
    with pytest.raises(AttributeError):
        SAMPLE.outputs = b""  # type: ignore[misc]

"""Keys tell apart what must not share an answer, and can be read by an operator."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rookery.pipeline.cache.key import cache_key
from rookery.service.definition import NAME_PATTERN

ARGUMENTS = st.tuples(
    st.from_regex(NAME_PATTERN, fullmatch=True), st.text("0123456789abcdef", max_size=64), st.binary(), st.binary()
)


@given(ARGUMENTS, ARGUMENTS)
def test_two_keys_are_equal_only_if_everything_is(
    one: tuple[str, str, bytes, bytes], other: tuple[str, str, bytes, bytes]
) -> None:
    assert (cache_key(*one) == cache_key(*other)) == (one == other)


@given(ARGUMENTS, st.integers(0, 100))
def test_a_byte_that_moves_from_one_argument_to_the_next_makes_another_key(
    arguments: tuple[str, str, bytes, bytes], at: int
) -> None:
    """What the arguments say together is the same in each of these; where one ends is not."""
    service, manifest, content, parameters = arguments
    both = content + parameters + b"x"
    at = at % len(both)
    moved = cache_key(service, manifest, both[:at], both[at:])
    assert moved != cache_key(service, manifest, both[: at + 1], both[at + 1 :])
    assert moved != cache_key(service, manifest + "a", both[:at], both[at:])


@given(ARGUMENTS)
def test_a_key_shows_its_service_and_nothing_of_the_content(arguments: tuple[str, str, bytes, bytes]) -> None:
    key = cache_key(*arguments).decode()
    assert re.fullmatch(f"rookery:cache:1:{re.escape(arguments[0])}:[0-9a-f]{{64}}", key)


def test_keys_are_the_same_in_every_process_and_release() -> None:
    """Whoever changes this value makes every installation's cache cold; the namespace's number must then change."""
    assert cache_key("iris", "ab" * 32, b"content", b"max=5") == (
        b"rookery:cache:1:iris:47a5bb8c45f6ba350299f80137de827a0f3363cee1605d8fb24a1f7e062ec3e1"
    )

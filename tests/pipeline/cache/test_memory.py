"""The cache in memory is an LRU with ages and a limit in bytes, as a plain model of it has it."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rookery.pipeline.cache.entry import Entry
from rookery.pipeline.cache.key import cache_key
from rookery.pipeline.cache.memory import LARGEST_SHARE, SLOT_OVERHEAD, MemoryCache
from rookery.pipeline.cache.store import CacheCounts

LIMIT, TTL = 10_000, 60.0
KEYS = st.sampled_from([b"a", b"bb", b"ccc", b"dddd", b"e", b"f", b"g", b"h", b"i", b"j", b"k", b"l"])

LARGEST = LIMIT // LARGEST_SHARE - SLOT_OVERHEAD
SIZES = [0, LARGEST // 2, LARGEST - 4, LARGEST - 3, LARGEST - 2, LARGEST - 1, LARGEST]
"""Sizes with which a dozen entries do not fit, and those around the largest that is kept under each length of key."""


class CacheMachine(RuleBasedStateMachine):
    """Any sequence of puts, gets and waiting, beside a list that is searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.cache = MemoryCache(LIMIT, TTL, clock=lambda: self.now)
        self.model: list[tuple[bytes, Entry, int, float]] = []
        self.expected = CacheCounts()

    def take(self, key: bytes) -> tuple[bytes, Entry, int, float] | None:
        found = next((slot for slot in self.model if slot[0] == key), None)
        self.model = [slot for slot in self.model if slot[0] != key]
        return found

    @rule(seconds=st.sampled_from([0.0, TTL / 8, TTL / 2, TTL]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=KEYS, size=st.sampled_from(SIZES))
    def put(self, key: bytes, size: int) -> None:
        entry = Entry({})
        self.cache.put(key, entry, size)
        self.take(key)
        counted = size + len(key) + SLOT_OVERHEAD
        if counted <= LIMIT / LARGEST_SHARE:
            self.model.append((key, entry, counted, self.now + TTL))
        while sum(slot[2] for slot in self.model) > LIMIT:
            self.model.pop(0)
            self.expected.evictions += 1

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        slot = self.take(key)
        if slot is not None and slot[3] <= self.now:
            self.expected.expirations += 1
            slot = None
        if slot is not None:
            self.model.append(slot)
        assert self.cache.get(key) is (slot[1] if slot is not None else None)

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.model.clear()

    @invariant()
    def both_hold_the_same(self) -> None:
        assert self.cache.used_bytes == sum(slot[2] for slot in self.model) <= LIMIT
        assert len(self.cache) == len(self.model)
        assert self.cache.counts == self.expected


CacheMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestCacheMachine = CacheMachine.TestCase


def test_what_was_asked_for_last_stays_when_room_is_needed() -> None:
    cache = MemoryCache(LIMIT, TTL)
    keys = [bytes([number]) for number in range(LARGEST_SHARE)]
    for key in keys:
        cache.put(key, Entry({}), LARGEST - 1)
    assert cache.get(keys[0]) is not None
    cache.put(b"new", Entry({}), LARGEST - 3)
    assert [key for key in keys if cache.get(key) is None] == [keys[1]]
    assert cache.counts.evictions == 1


def test_an_entry_is_there_until_its_age_and_not_at_it() -> None:
    now = 0.0
    cache = MemoryCache(LIMIT, TTL, clock=lambda: now)
    cache.put(b"key", Entry({}), 10)
    now = TTL - 0.001
    assert cache.get(b"key") is not None
    now = TTL
    assert cache.get(b"key") is None
    assert cache.used_bytes == 0
    assert cache.counts.expirations == 1


def test_an_entry_too_large_drives_nothing_out_and_leaves_no_older_one_behind() -> None:
    cache = MemoryCache(LIMIT, TTL)
    cache.put(b"small", Entry({}), 10)
    cache.put(b"other", Entry({}), 10)
    cache.put(b"small", Entry({"a": b"1"}), LIMIT // LARGEST_SHARE)
    assert cache.get(b"small") is None
    assert cache.get(b"other") is not None
    assert cache.counts.evictions == 0


@pytest.mark.parametrize(
    ("parts", "value_bytes", "output_bytes"),
    [(0, 0, 0), (1, 2, 4), (3, 8, 12), (8, 100, 0), (1, 2_000, 512), (2, 20_000, 40)],
)
def test_what_is_counted_is_what_memory_is_taken(parts: int, value_bytes: int, output_bytes: int) -> None:
    """A cache that was filled and turned over takes at most a tenth more than it counts, and at least half of it."""
    limit = 2_000_000
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        cache = MemoryCache(limit, TTL)
        number = 0
        while cache.counts.evictions < 200:
            number += 1
            key = cache_key("features", "00", number.to_bytes(8, "big"), b"")
            # Names that are new objects each time, as they are in entries that come from Redis.
            entry = Entry({f"field {number} {part}": bytes(value_bytes) for part in range(parts)}, bytes(output_bytes))
            cache.put(key, entry, entry.size)
        del key, entry
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.5 * cache.used_bytes < taken < 1.1 * cache.used_bytes
    assert 0.9 * limit < cache.used_bytes <= limit

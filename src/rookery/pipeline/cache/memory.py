"""`MemoryCache`: the answers that one worker keeps in its own memory, bounded by bytes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from rookery.pipeline.cache.entry import Entry
from rookery.pipeline.cache.store import CacheCounts

SLOT_OVERHEAD = 260
"""Bytes that an entry's place in the cache takes besides key and entry: its node, its slots in the table, its time."""

LARGEST_SHARE = 8
"""An entry larger than the limit divided by this is not kept: it would drive out too many others."""


class MemoryCache:
    """The most recently used entries that fit into `limit_bytes`, each for at most `ttl_seconds`.

    Keys, entries and the objects around them are counted, so the limit is one of memory. Every operation takes the
    same time however full the cache is. An expired entry leaves when it is next asked for, or as the others do, when
    it is the least recently used and its room is needed. For one event loop's thread.
    """

    def __init__(
        self,
        limit_bytes: int,
        ttl_seconds: float,
        *,
        counts: CacheCounts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        """Bytes that are counted against the limit now."""
        self.counts = counts if counts is not None else CacheCounts()
        self._ttl = ttl_seconds
        self._clock = clock
        self._slots: OrderedDict[bytes, tuple[Entry, int, float]] = OrderedDict()
        """Entry, counted bytes and time of expiry by key; the least recently used first."""

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, key: bytes) -> Entry | None:
        """Return the entry under a key, which is then the most recently used; None if there is none of age."""
        slot = self._slots.get(key)
        if slot is None:
            return None
        if slot[2] <= self._clock():
            self._remove(key)
            self.counts.expirations += 1
            return None
        self._slots.move_to_end(key)
        return slot[0]

    def put(self, key: bytes, entry: Entry, size: int) -> None:
        """Keep an entry of `size` bytes (`Entry.size`) under a key, in place of a former one."""
        self._remove(key)
        counted = size + len(key) + SLOT_OVERHEAD
        if counted * LARGEST_SHARE > self.limit_bytes:
            return
        self._slots[key] = (entry, counted, self._clock() + self._ttl)
        self.used_bytes += counted
        while self.used_bytes > self.limit_bytes:
            self.used_bytes -= self._slots.popitem(last=False)[1][1]
            self.counts.evictions += 1

    def clear(self) -> None:
        """Forget everything."""
        self._slots.clear()
        self.used_bytes = 0

    def _remove(self, key: bytes) -> None:
        slot = self._slots.pop(key, None)
        if slot is not None:
            self.used_bytes -= slot[1]

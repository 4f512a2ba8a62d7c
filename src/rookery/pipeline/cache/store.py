"""What answers are shared through (`SharedStore`), its fake for tests, and what a service's cache counts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from rookery.pipeline.cache.entry import MAX_VALUE_BYTES, Entry, decode_entry, encode_entry


@dataclass(slots=True)
class CacheCounts:
    """What happened in one service's cache of one worker; plain numbers that the metrics read once a second.

    Every answer from a service with a cache counts in exactly one of the first four.
    """

    hits_memory: int = 0
    hits_redis: int = 0
    shared: int = 0
    """Answers that waited for a computation of the same key that was under way."""
    misses: int = 0
    errors: int = 0
    """Calls of the shared store that failed or brought rubbish: to their caller they are misses."""
    evictions: int = 0
    """Entries that left this process's memory for lack of room."""
    expirations: int = 0
    """Entries that were found too old in this process's memory."""


class SharedStore(Protocol):
    """Where the answers of several processes meet; nothing that goes wrong in it reaches its caller."""

    counts: CacheCounts
    """What its service's cache counts, the store's errors among them."""

    @property
    def up(self) -> bool:
        """Whether the store is being used; False while it is left alone after failures."""
        ...

    async def get(self, key: bytes) -> Entry | None:
        """Return the entry under a key, within the store's time-out; None for a miss and for any error.

        Raises:
            asyncio.CancelledError: the caller no longer wants it.
        """
        ...

    async def put(self, key: bytes, entry: Entry) -> None:
        """Have an entry stored some time soon, or dropped; does not wait for it."""
        ...

    async def close(self) -> None:
        """Drop what is not stored yet and end all connections."""
        ...


class FakeStore:
    """A shared store in this process's memory, for tests: it can be slow or broken as the real one can.

    Values take the same way through bytes as in Redis; a test may damage them in `values`. A `delay` longer than
    `timeout` is an error after `timeout` seconds, and so is everything at once while `broken`.
    """

    def __init__(
        self, *, delay: float = 0.0, broken: bool = False, timeout: float = 0.05, counts: CacheCounts | None = None
    ) -> None:
        self.values: dict[bytes, bytes] = {}
        self.delay = delay
        self.broken = broken
        self.timeout = timeout
        self.counts = counts if counts is not None else CacheCounts()
        self.closed = False

    @property
    def up(self) -> bool:
        """Whether it works."""
        return not self.broken

    async def get(self, key: bytes) -> Entry | None:
        """Return the entry under a key after `delay` seconds; None if there is none, or on a staged error."""
        await asyncio.sleep(min(self.delay, self.timeout))
        if self.broken or self.delay > self.timeout:
            self.counts.errors += 1
            return None
        value = self.values.get(key)
        if value is None:
            return None
        entry = decode_entry(key, value, limit=MAX_VALUE_BYTES)
        self.counts.errors += entry is None
        return entry

    async def put(self, key: bytes, entry: Entry) -> None:
        """Store an entry, unless it is too large or the store broken or closed."""
        value = encode_entry(key, entry, limit=MAX_VALUE_BYTES)
        if self.broken:
            self.counts.errors += 1
        elif value is not None and not self.closed:
            self.values[key] = value

    async def close(self) -> None:
        """Take nothing more."""
        self.closed = True

"""`RedisStore`: answers shared through Redis, which may be down, slow, full or poisoned and is never an error."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from rookery.pipeline.cache.breaker import Breaker
from rookery.pipeline.cache.entry import MAX_VALUE_BYTES, Entry, decode_entry, encode_entry
from rookery.pipeline.cache.redis_connections import CONNECTIONS, RedisConnections
from rookery.pipeline.cache.store import CacheCounts

logger = logging.getLogger("rookery.pipeline")

WAITING_ENTRIES = 64
WAITING_BYTES = 8_000_000
"""Entries wait to be written up to this number and size; further ones are dropped. They are kept in memory anyhow."""


class RedisStore:
    """A shared store in Redis: `GETRANGE` and `SET … PX`, nothing else.

    A look-up takes `timeout` seconds at most, whatever Redis does, and a few microseconds while the breaker is open.
    All that goes wrong is a miss that is counted in `counts.errors`. Writing is left to one task, one value at a time,
    so that it takes no more than one connection from the look-ups. For one event loop.

    A missing key and an empty value are the same to `GETRANGE`; it is used because it brings no more than
    `max_value_bytes` of a value that somebody made huge, in one round trip.
    """

    def __init__(
        self,
        url: str,
        *,
        ttl_seconds: float,
        timeout: float = 0.05,
        max_value_bytes: int = MAX_VALUE_BYTES,
        connections: int = CONNECTIONS,
        counts: CacheCounts | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        """Prepare a store; nothing is sent yet.

        Raises:
            SettingError: redis-py is not installed, or does not understand the URL.
        """
        self.counts = counts if counts is not None else CacheCounts()
        self._connections = RedisConnections(url, timeout=timeout, limit=connections)
        self._breaker = breaker if breaker is not None else Breaker()
        self._ttl_ms = max(1, round(1000 * ttl_seconds))
        self._limit = max_value_bytes
        self._waiting: deque[tuple[bytes, Entry, int]] = deque()
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def up(self) -> bool:
        """Whether look-ups go to Redis; False while the breaker is open."""
        return self._breaker.closed

    async def get(self, key: bytes) -> Entry | None:
        """Return the entry under a key; None for a miss, and for any error within `timeout` seconds.

        Raises:
            asyncio.CancelledError: the caller no longer wants it.
        """
        if self._closed or not self._breaker.allows():
            return None
        try:
            # One byte more than allowed, to tell a value that is too large from one that just fits.
            value = await self._connections.ask("GETRANGE", key, 0, self._limit)
        except Exception as error:
            if str(error).startswith("WRONGTYPE"):
                self.counts.errors += 1
                self._succeeded()  # one poisoned key; Redis itself is well
            else:
                self._failed(f"{type(error).__name__}: {error}")
            return None
        if not isinstance(value, bytes):
            self._failed("a look-up was not answered with a value")
            return None
        self._succeeded()
        if not value:
            return None
        entry = decode_entry(key, value, limit=self._limit)
        self.counts.errors += entry is None
        return entry

    async def put(self, key: bytes, entry: Entry) -> None:
        """Have an entry written soon, unless Redis is down, too much is waiting or the entry too large."""
        size = entry.size
        full = len(self._waiting) >= WAITING_ENTRIES or self._waiting_bytes + size > WAITING_BYTES
        if self._closed or full or not self._breaker.closed:
            return
        self._waiting.append((key, entry, size))
        self._waiting_bytes += size
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def close(self) -> None:
        """Drop what is not written yet and end all connections."""
        self._closed = True
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        await self._connections.close()

    async def _write(self) -> None:
        """Write all that waits; what fails is not tried again."""
        while self._waiting:
            key, entry, size = self._waiting.popleft()
            self._waiting_bytes -= size
            # Only look-ups try whether Redis is back: a value is dropped rather than sent as the probe.
            value = encode_entry(key, entry, limit=self._limit) if self._breaker.closed else None
            if value is not None:
                await self._set(key, value)

    async def _set(self, key: bytes, value: bytes) -> None:
        try:
            reply = await self._connections.ask("SET", key, value, "PX", self._ttl_ms)
        except self._connections.refusal:
            # Full, a replica, or no permission to write: look-ups may work all the same.
            self.counts.errors += 1
        except Exception as error:
            self._failed(f"{type(error).__name__}: {error}")
        else:
            if reply == b"OK":
                self._succeeded()
            else:
                self._failed("a value was not answered with OK")

    def _failed(self, reason: str) -> None:
        self.counts.errors += 1
        was_up = self._breaker.closed
        self._breaker.failed()
        if was_up and not self._breaker.closed:
            logger.warning("Redis is left alone until it answers again: %s", reason[:200])

    def _succeeded(self) -> None:
        was_up = self._breaker.closed
        self._breaker.succeeded()
        if not was_up:
            logger.info("Redis answers again")

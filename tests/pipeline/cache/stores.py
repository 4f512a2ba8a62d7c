"""Stores that are closed after their test, and a test's patience with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from rookery.pipeline.cache.entry import Entry
from rookery.pipeline.cache.redis_store import RedisStore

TIMEOUT = 0.05
PATIENCE = 10 * TIMEOUT
"""What a look-up may take on a busy machine; the benchmarks measure it."""
ENTRY = Entry({"keypoints": b"[1,2]", "count": b"2"}, b"\0\0\x80?")


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, **{"ttl_seconds": 60, "timeout": TIMEOUT, **options})
    try:
        yield store
    finally:
        await store.close()


async def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def timed(call: Awaitable[object]) -> float:
    begin = time.perf_counter()
    assert await call is None
    return time.perf_counter() - begin

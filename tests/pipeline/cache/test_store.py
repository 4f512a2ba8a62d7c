"""The fake store behaves as the real one, and what caches count reaches the metrics."""

from __future__ import annotations

import asyncio
import inspect
import time

from rookery.pipeline.cache.entry import Entry
from rookery.pipeline.cache.memory import MemoryCache
from rookery.pipeline.cache.redis_store import RedisStore
from rookery.pipeline.cache.store import CacheCounts, FakeStore, SharedStore
from rookery.pipeline.cache.watch import watch_cache, watch_stores
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.metrics import CACHE_BYTES, CACHE_ERRORS, CACHE_EVICTIONS, CACHE_REQUESTS, CACHE_UP

ENTRY = Entry({"a": b"1"}, b"\0\0\x80?")


def test_both_stores_have_all_of_the_protocol() -> None:
    wanted = {name for name, _ in inspect.getmembers(SharedStore) if not name.startswith("_")}
    assert wanted == {"up", "get", "put", "close"}
    for kind in (RedisStore, FakeStore):
        for name in wanted - {"up"}:
            assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(SharedStore, name))
    # Type checkers hold them against it here.
    stores: list[SharedStore] = [FakeStore(), RedisStore("redis://localhost", ttl_seconds=1)]
    assert all(store.up for store in stores)


def test_the_fake_keeps_what_is_put_and_misses_what_is_not() -> None:
    async def scenario() -> None:
        store = FakeStore()
        assert await store.get(b"key") is None
        await store.put(b"key", ENTRY)
        found = await store.get(b"key")
        assert found == ENTRY
        assert found is not ENTRY
        assert store.counts.errors == 0
        await store.close()
        await store.put(b"another", ENTRY)
        assert list(store.values) == [b"key"]

    asyncio.run(scenario())


def test_the_fake_can_be_slow_broken_and_poisoned() -> None:
    async def scenario() -> None:
        store = FakeStore(timeout=0.02)
        await store.put(b"key", ENTRY)
        store.delay = 60
        begin = time.perf_counter()
        assert await store.get(b"key") is None
        assert time.perf_counter() - begin >= 0.015
        assert store.counts.errors == 1
        store.delay = 0
        assert await store.get(b"key") == ENTRY
        store.broken = True
        assert not store.up
        assert await store.get(b"key") is None
        await store.put(b"other", ENTRY)
        assert store.counts.errors == 3
        store.broken = False
        store.values[b"key"] = b"rubbish"
        assert await store.get(b"key") is None
        assert store.counts.errors == 4
        assert list(store.values) == [b"key"]

    asyncio.run(scenario())


def test_every_count_is_shown_under_its_own_name() -> None:
    metrics, counts = WorkerMetrics("w"), CacheCounts()
    memory = MemoryCache(100_000, 60, counts=counts)
    watch_cache(metrics, "features", counts, memory)
    counts.hits_memory, counts.hits_redis, counts.shared, counts.misses, counts.errors = 1, 2, 3, 4, 5
    counts.evictions = 6
    memory.put(b"key", ENTRY, ENTRY.size)
    snapshot = metrics.snapshot()
    assert {(name, labels): value for name, labels, value in snapshot.counters} == {
        (CACHE_REQUESTS.name, ("features", "hit")): 1,
        (CACHE_REQUESTS.name, ("features", "redis")): 2,
        (CACHE_REQUESTS.name, ("features", "shared")): 3,
        (CACHE_REQUESTS.name, ("features", "miss")): 4,
        (CACHE_ERRORS.name, ("features",)): 5,
        (CACHE_EVICTIONS.name, ("features",)): 6,
    }
    assert (CACHE_BYTES.name, ("features",), float(memory.used_bytes)) in snapshot.gauges


def test_one_store_that_is_down_shows_and_without_stores_nothing_does() -> None:
    def shown(metrics: WorkerMetrics) -> list[float]:
        return [value for name, _, value in metrics.snapshot().gauges if name == CACHE_UP.name]

    metrics, stores = WorkerMetrics("w"), [FakeStore(), FakeStore()]
    watch_stores(metrics, [])
    assert shown(metrics) == []
    watch_stores(metrics, stores)
    assert shown(metrics) == [1]
    stores[1].broken = True
    assert shown(metrics) == [0]

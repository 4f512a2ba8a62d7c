"""How the caches' plain counts become metrics: readers that a snapshot calls once a second."""

from __future__ import annotations

from collections.abc import Sequence

from rookery.pipeline.cache.memory import MemoryCache
from rookery.pipeline.cache.store import CacheCounts, SharedStore
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.metrics import CACHE_BYTES, CACHE_ERRORS, CACHE_EVICTIONS, CACHE_REQUESTS, CACHE_UP


def watch_cache(metrics: WorkerMetrics, service: str, counts: CacheCounts, memory: MemoryCache) -> None:
    """Show what one service's cache counts, and how large it is."""
    metrics.watch_counter(CACHE_REQUESTS, service, "hit", read=lambda: counts.hits_memory)
    metrics.watch_counter(CACHE_REQUESTS, service, "redis", read=lambda: counts.hits_redis)
    metrics.watch_counter(CACHE_REQUESTS, service, "shared", read=lambda: counts.shared)
    metrics.watch_counter(CACHE_REQUESTS, service, "miss", read=lambda: counts.misses)
    metrics.watch_counter(CACHE_ERRORS, service, read=lambda: counts.errors)
    metrics.watch_counter(CACHE_EVICTIONS, service, read=lambda: counts.evictions)
    metrics.watch_gauge(CACHE_BYTES, service, read=lambda: memory.used_bytes)


def watch_stores(metrics: WorkerMetrics, stores: Sequence[SharedStore]) -> None:
    """Show whether a worker's shared stores are all in use; without any there is nothing to show."""
    if stores:
        metrics.watch_gauge(CACHE_UP, read=lambda: float(all(store.up for store in stores)))

"""`AnswerCache`: `cache`, the stage between `split` and `infer`: earlier outcomes, and those that are under way.

Equal units are told by service, package, input content and the parameters that an outcome depends on, and computed
once: the first computes, those that come meanwhile wait for it. What was computed is kept in this process's memory,
and in a shared store where there is one. Errors are never kept.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from rookery.errors import RequestError
from rookery.package.digests import canonical_json
from rookery.pipeline.cache.entry import Entry
from rookery.pipeline.cache.key import cache_key
from rookery.pipeline.cache.memory import MemoryCache
from rookery.pipeline.cache.store import CacheCounts, SharedStore
from rookery.pipeline.call import CacheResult
from rookery.pipeline.unit import Outcome, Unit
from rookery.service.policies import Cache

Compute = Callable[[Unit], Awaitable[Outcome | RequestError]]
Obtained = tuple[Outcome | RequestError, CacheResult]


@dataclass(slots=True)
class _Running:
    """A computation, and how many calls wait for it."""

    unit: Unit
    task: asyncio.Task[Obtained]
    waiting: int = 0


class AnswerCache:
    """One service's outcomes in one worker; used from its event loop alone."""

    def __init__(
        self,
        policy: Cache,
        *,
        shared: SharedStore | None = None,
        counts: CacheCounts | None = None,
        is_under_way: Callable[[Unit], bool] = lambda _unit: False,
    ) -> None:
        self.counts = counts if counts is not None else CacheCounts()
        self.memory = MemoryCache(policy.memory_bytes, policy.ttl_seconds, counts=self.counts)
        self.shared = shared
        self._is_under_way = is_under_way
        self._running: dict[bytes, _Running] = {}

    async def obtain(self, unit: Unit, compute: Compute) -> Obtained:
        """Return a unit's outcome, computed by this call only if nobody else has done or is doing it.

        What this process's memory has is returned without waiting for anything. A computation goes on as long as one of
        those that wait for it is left, or a thread is at it: whoever lost patience and asks again finds it there.

        Raises:
            asyncio.CancelledError: this call no longer wants it.
        """
        key = make_key(unit)
        entry = self.memory.get(key)
        known = None if entry is None else _read_entry(entry, unit)
        if known is not None:
            self.counts.hits_memory += 1
            return known, "hit"
        running = self._running.get(key)
        is_first = running is None
        if running is None:
            task = asyncio.get_running_loop().create_task(self._compute(key, unit, compute))
            running = self._running[key] = _Running(unit, task)
        running.waiting += 1
        try:
            outcome, result = await asyncio.shield(running.task)
        finally:
            running.waiting -= 1
            if not running.waiting and not running.task.done() and not self._is_under_way(running.unit):
                # Whoever asks for the same from now on begins anew: this computation is on its way out.
                self._forget(key, running)
                running.task.cancel()
        if is_first:
            return outcome, result
        self.counts.shared += 1
        return outcome, "shared"

    async def _compute(self, key: bytes, unit: Unit, compute: Compute) -> Obtained:
        try:
            entry = None if self.shared is None else await self.shared.get(key)
            known = None if entry is None else _read_entry(entry, unit)
            if entry is not None and known is not None:
                self.counts.hits_redis += 1
                self.memory.put(key, entry, entry.size)
                return known, "hit"
            self.counts.misses += 1
            outcome = await compute(unit)
            if isinstance(outcome, Outcome):
                entry = _make_entry(outcome)
                self.memory.put(key, entry, entry.size)
                if self.shared is not None:
                    await self.shared.put(key, entry)
            return outcome, "miss"
        finally:
            running = self._running.get(key)
            if running is not None and running.task is asyncio.current_task():
                del self._running[key]

    def _forget(self, key: bytes, running: _Running) -> None:
        if self._running.get(key) is running:
            del self._running[key]


def make_key(unit: Unit) -> bytes:
    """Return a unit's key.

    A graph answers the same whatever is sent beside the picture: parameters then only phrase the answer, and requests
    that differ in them alone share its outputs. A function's result depends on all of them.
    """
    package = unit.version.package
    if unit.picture is not None:
        content = unit.picture.digest
    else:
        content = b"" if unit.rows is None else hashlib.sha256(unit.rows.tobytes()).digest()
    parameters = canonical_json(dict(unit.parameters)) if package.code is not None else b""
    return cache_key(package.manifest.service, package.manifest_sha256, content, parameters)


def _make_entry(outcome: Outcome) -> Entry:
    outputs = b"" if outcome.outputs is None else outcome.outputs.tobytes()
    return Entry(parts=dict(outcome.result), outputs=outputs)


def _read_entry(entry: Entry, unit: Unit) -> Outcome | None:
    """Return the outcome that an entry holds; None if it cannot be one of this unit's (someone's forgery)."""
    if unit.version.package.code is not None:
        return None if entry.outputs or not entry.parts else Outcome(result=entry.parts, cached=True)
    width = max(1, len(unit.version.labels))
    if entry.parts or len(entry.outputs) != 4 * width * unit.count:
        return None
    outputs = np.frombuffer(entry.outputs, dtype=np.float32)
    if not np.isfinite(outputs).all():
        return None
    return Outcome(outputs=outputs.reshape(unit.count, width) if unit.version.labels else outputs, cached=True)

"""`Mount`: one service at its place on a server; what both doors answer calls by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

from rookery.errors import DeadlineExceeded
from rookery.pipeline.answer_cache import AnswerCache
from rookery.pipeline.batcher import Batcher
from rookery.pipeline.cache.store import SharedStore
from rookery.pipeline.cache.watch import watch_cache
from rookery.pipeline.call import Call
from rookery.pipeline.endpoint import Endpoint, LoadedVersion
from rookery.pipeline.heavy import HeavyPath
from rookery.pipeline.pipeline import Pipeline
from rookery.pipeline.unit import infer_units
from rookery.service.contract import Contract
from rookery.serving.bodies import HELD_BYTES, HeldBodies
from rookery.serving.http import encode_error
from rookery.serving.lane import LaneRoute
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.logs import PredictionLog
from rookery.telemetry.metrics import BATCH_WAITING

INLINE_BODY_BYTES = 65_536
"""Larger bodies leave the event loop while the model runs, even if one row of it is light."""


class Mount:
    """A service's endpoint, its pipeline and batcher, and the path prefix they answer under.

    `prefix` is empty for a service that is alone on its server, `/<service>` otherwise.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        metrics: WorkerMetrics,
        executor: Executor,
        log: PredictionLog | None = None,
        prefix: str = "",
        runs: int = 1,
        shared: SharedStore | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.prefix = prefix
        self.open_requests = 0
        """Requests for this service that came through the application and are not answered yet."""
        self.bodies = HeldBodies(self.name, max(HELD_BYTES, endpoint.contract.limits.body_bytes))
        """The bodies of requests that are being received or answered."""
        self.champion_share = 0
        """How many percent of the predictions the champion answers."""
        self._pipeline = Pipeline(endpoint, encode_error, metrics, log)
        batcher = Batcher(infer_units, executor, runs=runs, observe=_observe_batch)
        is_cached = endpoint.contract.cache.enabled
        cache = _make_cache(endpoint.contract, metrics, shared, batcher) if is_cached else None
        metrics.watch_gauge(BATCH_WAITING, self.name, read=lambda: batcher.waiting)
        self._heavy = HeavyPath(self._pipeline, batcher, cache)
        self.is_inline = endpoint.contract.schema.picture is None and cache is None
        """Whether calls may be answered inline at all: without a picture to decode and a cache to ask."""
        self._deadline = endpoint.contract.limits.deadline_seconds

    @property
    def contract(self) -> Contract:
        """How the service speaks."""
        return self.endpoint.contract

    @property
    def name(self) -> str:
        """The service's name."""
        return self.endpoint.contract.name

    @property
    def version(self) -> str | None:
        """The version that serves by default; None while there is none."""
        champion = self.endpoint.champion
        return None if champion is None else champion.version

    @property
    def is_light(self) -> bool:
        """Whether calls may be answered inline."""
        return self.is_inline and (self.endpoint.is_light or self.endpoint.champion is None)

    @property
    def is_missed(self) -> bool:
        """Whether a server is not well because this service has no model; an optional one that has none is not."""
        return self.endpoint.champion is None and not self.contract.is_optional

    @property
    def takes_pictures(self) -> bool:
        """Whether requests send pictures rather than JSON."""
        return self.contract.schema.picture is not None

    @property
    def runs(self) -> int:
        """How many runs of a heavy model may be under way at once in this worker."""
        return self._heavy.batcher.runs

    def install(
        self,
        versions: Mapping[str, LoadedVersion],
        *,
        champion: str,
        weights: Mapping[str, int],
        aliases: Mapping[str, str],
    ) -> None:
        """Answer by `versions` from now on; the share of a version that is not loaded goes to the champion."""
        self.endpoint.install(versions, champion=champion, weights=weights, aliases=aliases)
        self.champion_share = 100 - sum(
            percent for version, percent in weights.items() if version in versions and version != champion
        )

    def answer_now(self, calls: list[Call]) -> None:
        """Answer all calls in this very turn of the event loop."""
        self._pipeline.run(calls)
        champion = self.endpoint.champion
        for call in calls:
            # A call that was refused before it came to a version is answered in the champion's name.
            if call.version is None:
                call.version = champion

    def answers_inline(self, call: Call) -> bool:
        """Tell whether a call is answered in the event loop, without waiting for a thread."""
        return self.is_light and len(call.body) <= INLINE_BODY_BYTES

    async def answer(self, call: Call) -> None:
        """Answer a call: inline if it is light, otherwise by the batcher and within the service's deadline.

        Raises:
            asyncio.CancelledError: the caller no longer wants the answer; a call that waits leaves the queue.
        """
        if self.answers_inline(call):
            self.answer_now([call])
            return
        try:
            async with asyncio.timeout(self._deadline - (time.perf_counter() - call.received)):
                await self._heavy.answer(call)
        except TimeoutError:
            self._give_up(call)

    def _give_up(self, call: Call) -> None:
        """Answer 504 and count it; what its run comes to, nobody waits for."""
        if call.payload is None:
            self._pipeline.refuse(call, DeadlineExceeded(f"{self.name}: no answer within {self._deadline:g} s"))


def _make_cache(
    contract: Contract, metrics: WorkerMetrics, shared: SharedStore | None, batcher: Batcher
) -> AnswerCache:
    """Return the service's cache, shown by the metrics."""
    counts = None if shared is None else shared.counts
    cache = AnswerCache(contract.cache, shared=shared, counts=counts, is_under_way=batcher.is_under_way)
    watch_cache(metrics, contract.name, cache.counts, cache.memory)
    return cache


def _observe_batch(version: LoadedVersion, rows: int) -> None:
    version.series.observe_batch(rows)


def lane_routes(mounts: Sequence[Mount]) -> Mapping[bytes, LaneRoute]:
    """Return the request targets whose plain predictions the lane may take."""
    routes: dict[bytes, LaneRoute] = {}
    for mount in mounts:
        if not mount.is_inline:
            continue
        for path in mount.contract.paths:
            routes[f"{mount.prefix}{path}".encode("ascii")] = LaneRoute(mount, "single")
        routes[f"{mount.prefix}/predict/batch".encode("ascii")] = LaneRoute(mount, "batch")
    return routes

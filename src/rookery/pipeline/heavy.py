"""`HeavyPath`: the journey of calls whose model is too slow for the event loop, or whose answers are cached."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from rookery.errors import Overloaded, RequestError
from rookery.pipeline.answer_cache import AnswerCache, Obtained
from rookery.pipeline.batcher import Batcher
from rookery.pipeline.call import CacheResult, Call, Pass
from rookery.pipeline.pipeline import Pipeline, take_outcomes
from rookery.pipeline.unit import Outcome, Unit, make_units

PATIENCE = 0.5
"""The share of a call's deadline that it may be expected to wait for its run; more is shed at once.

Half of it: a run takes time of its own, and a queue that is as long as the deadline would be run for callers who have
just left.
"""


class HeavyPath:
    """Answers one call at a time, whose units meet others in the cache and the batcher.

    The stages before inference and after it run in the event loop, inference in the batcher's threads. What goes wrong
    on the way is the answer to the call it happened to, as in the pipeline's own stages.
    """

    def __init__(self, pipeline: Pipeline, batcher: Batcher, cache: AnswerCache | None = None) -> None:
        self._pipeline = pipeline
        self.batcher = batcher
        self.cache = cache
        self._patience = PATIENCE * pipeline.endpoint.contract.limits.deadline_seconds

    async def answer(self, call: Call) -> None:
        """Return when the call is answered.

        Raises:
            asyncio.CancelledError: the caller no longer wants the answer; what it alone waited for is not computed.
        """
        endpoint = self._pipeline.endpoint
        if endpoint.in_flight >= endpoint.contract.limits.concurrency:
            reason = f"{endpoint.contract.name}: {endpoint.in_flight} calls are under way already"
            self._pipeline.refuse(call, Overloaded(reason))
            return
        endpoint.in_flight += 1
        try:
            passes = self._pipeline.begin([call])
            for work in passes:
                await self._infer(work, call)
            self._pipeline.complete([call], passes)
        except Exception as error:
            self._pipeline.refuse(call, error)
        finally:
            endpoint.in_flight -= 1

    async def _infer(self, work: Pass, call: Call) -> None:
        """Set the pass's outcomes, or the call's error."""
        units = make_units(work)
        obtained = await self._obtain_all(units)
        if self.cache is not None:
            call.cache_result = _worst([result for _, result in obtained])
        take_outcomes(work, units, [outcome for outcome, _ in obtained])

    async def _obtain_all(self, units: Sequence[Unit]) -> list[Obtained]:
        if len(units) == 1:
            return [await self._obtain(units[0])]
        async with asyncio.TaskGroup() as group:  # should one of them break, nobody waits for the others any more
            tasks = [group.create_task(self._obtain(unit)) for unit in units]
        return [task.result() for task in tasks]

    async def _obtain(self, unit: Unit) -> Obtained:
        if self.cache is None:
            return await self._compute(unit), "miss"
        return await self.cache.obtain(unit, self._compute)

    async def _compute(self, unit: Unit) -> Outcome | RequestError:
        wait = self.batcher.expect_wait(own=unit.place)
        if wait > self._patience:
            name = self._pipeline.endpoint.contract.name
            return Overloaded(f"{name}: the queue is {wait:.1f} s long", retry_after=math.ceil(wait))
        return await self.batcher.submit(unit)


def _worst(results: Sequence[CacheResult]) -> CacheResult:
    """Return what a call with several units says of its cache: a miss if one was computed for it."""
    if "miss" in results:
        return "miss"
    return "shared" if "shared" in results else "hit"

"""`HeavyPath`: the journey of calls whose model is too slow for the event loop, or whose answers are cached."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rookery.errors import Overloaded, RequestError
from rookery.pipeline.answer_cache import AnswerCache, Obtained
from rookery.pipeline.batcher import Batcher
from rookery.pipeline.call import CacheResult, Call, Pass
from rookery.pipeline.pipeline import Pipeline, take_outcomes
from rookery.pipeline.unit import Outcome, Unit, make_units


class HeavyPath:
    """Answers one call at a time, whose units meet others in the cache and the batcher.

    The stages before inference and after it run in the event loop, inference in the batcher's threads.
    """

    def __init__(self, pipeline: Pipeline, batcher: Batcher, cache: AnswerCache | None = None) -> None:
        self._pipeline = pipeline
        self.batcher = batcher
        self.cache = cache

    async def answer(self, call: Call) -> None:
        """Return when the call is answered.

        Raises:
            asyncio.CancelledError: the caller no longer wants the answer; what it alone waited for is not computed.
        """
        endpoint = self._pipeline.endpoint
        if endpoint.in_flight >= endpoint.contract.limits.concurrency:
            call.error = Overloaded(f"{endpoint.contract.name}: {endpoint.in_flight} calls are under way already")
            self._pipeline.complete([call], [])
            return
        endpoint.in_flight += 1
        try:
            passes = self._pipeline.begin([call])
            for work in passes:
                await self._infer(work, call)
            self._pipeline.complete([call], passes)
        finally:
            endpoint.in_flight -= 1

    async def _infer(self, work: Pass, call: Call) -> None:
        """Set the pass's outcomes, or the call's error."""
        units = make_units(work)
        found = self._find_all(units)
        if found is None:
            obtained = await self._obtain_all(units)
            found = [outcome for outcome, _ in obtained]
            if self.cache is not None:
                call.cache_result = _worst([result for _, result in obtained])
        else:
            call.cache_result = "hit"
        take_outcomes(work, units, found)

    def _find_all(self, units: Sequence[Unit]) -> list[Outcome | RequestError] | None:
        """Return all outcomes if this process's memory has every one: then nothing need be waited for."""
        if self.cache is None or len(units) != 1:
            return None
        outcome = self.cache.find(units[0])
        return None if outcome is None else [outcome]

    async def _obtain_all(self, units: Sequence[Unit]) -> list[Obtained]:
        if len(units) == 1:
            return [await self._obtain(units[0])]
        return list(await asyncio.gather(*(self._obtain(unit) for unit in units)))

    async def _obtain(self, unit: Unit) -> Obtained:
        if self.cache is None:
            return await self._compute(unit), "miss"
        known = self.cache.find(unit)
        return (known, "hit") if known is not None else await self.cache.obtain(unit, self._compute)

    async def _compute(self, unit: Unit) -> Outcome | RequestError:
        return await self.batcher.submit(unit)


def _worst(results: Sequence[CacheResult]) -> CacheResult:
    """Return what a call with several units says of its cache: a miss if one was computed for it."""
    if "miss" in results:
        return "miss"
    return "shared" if "shared" in results else "hit"

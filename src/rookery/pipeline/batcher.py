"""`Batcher`: heavy models in threads, without timers: what arrives during a run is the next batch."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Executor

from rookery.errors import Overloaded
from rookery.pipeline.call import Call
from rookery.pipeline.pipeline import Pipeline

BATCH_BYTES = 262_144
"""Calls with many rows of their own do not pile up in one batch: it ends before its bodies exceed this together."""


class Batcher:
    """Answers calls whose model is too slow for the event loop.

    At most `runs` runs are under way at once. A call that arrives while none is free waits; when a run ends, all
    that waited, up to `rows` calls and `BATCH_BYTES` of bodies, start together. Calls whose deadline passed or whose
    client left are not run.
    """

    def __init__(self, pipeline: Pipeline, executor: Executor, *, runs: int = 1, rows: int = 64) -> None:
        self._pipeline = pipeline
        self._executor = executor
        self._runs = runs
        self._rows = rows
        self._under_way = 0
        self._waiting: deque[tuple[Call, asyncio.Future[None]]] = deque()

    async def answer(self, call: Call) -> None:
        """Return when the call is answered.

        Raises:
            asyncio.CancelledError: the caller no longer wants the answer; the call leaves the batch.
        """
        endpoint = self._pipeline.endpoint
        if endpoint.in_flight >= endpoint.contract.limits.concurrency:
            call.error = Overloaded(f"{endpoint.contract.name}: {endpoint.in_flight} calls are under way already")
            self._pipeline.complete([call], [])
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        endpoint.in_flight += 1
        try:
            self._start()
            await future
        finally:
            endpoint.in_flight -= 1

    def _start(self) -> None:
        while self._waiting and self._under_way < self._runs:
            batch = self._take()
            if batch:
                self._under_way += 1
                asyncio.get_running_loop().create_task(self._run(batch))

    def _take(self) -> list[tuple[Call, asyncio.Future[None]]]:
        """Take the next batch off the queue, leaving out calls whose callers have left."""
        batch: list[tuple[Call, asyncio.Future[None]]] = []
        size = 0
        while self._waiting and len(batch) < self._rows:
            call, future = self._waiting[0]
            size += len(call.body)
            if batch and size > BATCH_BYTES:
                break
            self._waiting.popleft()
            if not future.done():
                batch.append((call, future))
        return batch

    async def _run(self, batch: list[tuple[Call, asyncio.Future[None]]]) -> None:
        calls = [call for call, _ in batch]
        loop = asyncio.get_running_loop()
        try:
            passes = self._pipeline.begin(calls)
            for work in passes:
                await loop.run_in_executor(self._executor, self._pipeline.infer, work)
            self._pipeline.complete(calls, passes)
        finally:
            self._under_way -= 1
            for _, future in batch:
                if not future.done():
                    future.set_result(None)
            self._start()

"""`Batcher`: units in threads, without timers: what arrives during a run is the next batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from rookery.errors import RequestError
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.unit import Outcome, Unit

BATCH_BYTES = 16_000_000
"""A batch ends before its units exceed this together: what waits was received already, what runs is decoded, too."""

Infer = Callable[[Sequence[Unit]], "list[Outcome | RequestError]"]
Waiting = tuple[Unit, "asyncio.Future[Outcome | RequestError]"]


class Batcher:
    """Runs units of one service in threads, at most `runs` batches at once.

    A unit that finds no run free waits; when a run ends, what waited for the same version starts together, as many
    rows as that version's `batch_rows` (a unit of more rows runs by itself). Versions take turns by who waited
    longest. A unit whose future was cancelled leaves the queue; of one that runs, nobody reads the outcome.
    `observe` is told the version and the rows of every run.
    """

    def __init__(
        self,
        infer: Infer,
        executor: Executor,
        *,
        runs: int = 1,
        observe: Callable[[LoadedVersion, int], None] = lambda _version, _rows: None,
    ) -> None:
        self._infer = infer
        self._executor = executor
        self.runs = runs
        """So many runs at most are under way at once."""
        self._under_way = 0
        self._queues: dict[LoadedVersion, deque[tuple[int, Waiting]]] = {}
        self._arrivals = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._observe = observe

    @property
    def waiting(self) -> int:
        """Units that no run has taken yet."""
        return sum(len(queue) for queue in self._queues.values())

    def submit(self, unit: Unit) -> asyncio.Future[Outcome | RequestError]:
        """Take a unit; its future is done with what it came to. Cancel the future when nobody wants it any more."""
        future: asyncio.Future[Outcome | RequestError] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        self._queues.setdefault(unit.version, deque()).append((self._arrivals, (unit, future)))
        self._start()
        return future

    def _start(self) -> None:
        while self._under_way < self.runs:
            batch = self._take()
            if not batch:
                return
            self._under_way += 1
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[Waiting]:
        """Take the next batch: of the version whose unit has waited longest; empty when nothing waits."""
        for version, queue in list(self._queues.items()):
            while queue and queue[0][1][1].done():
                queue.popleft()
            if not queue:
                del self._queues[version]
        if not self._queues:
            return []
        version = min(self._queues, key=lambda each: self._queues[each][0][0])
        queue, batch, rows, size = self._queues[version], list[Waiting](), 0, 0
        while queue:
            unit, future = queue[0][1]
            if batch and (rows + unit.count > version.batch_rows or size + unit.size > BATCH_BYTES):
                break
            queue.popleft()
            if not future.done():
                batch.append((unit, future))
                rows, size = rows + unit.count, size + unit.size
        return batch

    async def _run(self, batch: list[Waiting]) -> None:
        units = [unit for unit, _ in batch]
        outcomes: Sequence[Outcome | RequestError | BaseException]
        try:
            outcomes = await asyncio.get_running_loop().run_in_executor(self._executor, self._infer, units)
            self._observe(units[0].version, sum(unit.count for unit in units))
        except BaseException as error:
            outcomes = [error] * len(units)
            if not isinstance(error, Exception):
                raise
        finally:
            self._under_way -= 1
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, BaseException) and not isinstance(outcome, RequestError):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
            self._start()

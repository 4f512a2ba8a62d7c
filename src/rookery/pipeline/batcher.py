"""`Batcher`: units in threads, without timers: what arrives during a run is the next batch."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import islice

from rookery.errors import InferenceFailed, Overloaded, RequestError
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.unit import Outcome, Unit

logger = logging.getLogger("rookery.pipeline")

BATCH_BYTES = 16_000_000
"""A batch ends before its units exceed this together: what waits was received already, what runs is decoded, too."""
NEWEST_SHARE = 0.2
"""How much the newest run counts in what a row is expected to take."""

Found = Outcome | RequestError
Infer = Callable[[Sequence[Unit]], "list[Found]"]
Waiting = tuple[Unit, "asyncio.Future[Found]"]


class Batcher:
    """Runs units of one service in threads, at most `runs` batches at once.

    Units that find runs free start in the next turn of the event loop, with all that came in this one. When a run
    ends, what waited for the same version starts together, as many rows as that version's `batch_rows` (a unit of
    more rows runs by itself), spread over the runs that are free. Versions take turns by who waited longest.

    A unit whose future was cancelled leaves the queue; of one that runs, nobody reads the outcome. Whatever becomes of
    a run, its units' futures get a result: a run that breaks is an error to those who waited for it, and to no other.
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
        self._under_way: list[frozenset[Unit]] = []
        self._queues: dict[LoadedVersion, OrderedDict[int, Waiting]] = {}
        """What waits for each version, by the order of arrival."""
        self._arrivals = 0
        self._waiting_rows = 0
        self._row_seconds = 0.0
        self._is_scheduled = False
        self._observe = observe

    @property
    def waiting(self) -> int:
        """Units that no run has taken yet."""
        return sum(len(queue) for queue in self._queues.values())

    def is_under_way(self, unit: Unit) -> bool:
        """Tell whether a run has taken the unit and has not ended."""
        return any(unit in run for run in self._under_way)

    def expect_wait(self, *, own: int = 0) -> float:
        """Return how many seconds a unit that came now would wait, `own` units of its own call left out.

        It is judged by what rows took lately, and is 0 while nothing waits.
        """
        return max(0, self._waiting_rows - own) * self._row_seconds / self.runs

    def submit(self, unit: Unit) -> asyncio.Future[Found]:
        """Take a unit; its future is done with what it came to. Cancel the future when nobody wants it any more."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found] = loop.create_future()
        self._arrivals += 1
        self._queues.setdefault(unit.version, OrderedDict())[self._arrivals] = (unit, future)
        self._waiting_rows += unit.count
        # It leaves at once and not when its turn comes: what nobody waits for would fill the memory until then.
        future.add_done_callback(partial(self._leave, unit.version, self._arrivals))
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._start)
        return future

    def _leave(self, version: LoadedVersion, place: int, _: object = None) -> Waiting | None:
        """Take a unit out of its queue; None if it is not there any more."""
        queue = self._queues.get(version)
        found = None if queue is None else queue.pop(place, None)
        if found is not None:
            self._waiting_rows -= found[0].count
            if not queue:
                del self._queues[version]
        return found

    def _start(self) -> None:
        self._is_scheduled = False
        while len(self._under_way) < self.runs and (batch := self._take()):
            self._run(batch)

    def _take(self) -> list[Waiting]:
        """Take the next batch: of the version whose unit has waited longest; empty when nothing waits."""
        while self._queues:
            version = min(self._queues, key=lambda each: next(iter(self._queues[each])))
            queue, batch, rows, size = self._queues[version], list[Waiting](), 0, 0
            share = -(-len(queue) // (self.runs - len(self._under_way)))
            for place, (unit, future) in list(islice(queue.items(), version.batch_rows)):
                is_full = len(batch) == share or rows + unit.count > version.batch_rows
                if batch and (is_full or size + unit.size > BATCH_BYTES):
                    break
                self._leave(version, place)
                if not future.done():
                    batch.append((unit, future))
                    rows, size = rows + unit.count, size + unit.size
            if batch:
                return batch
        return []

    def _run(self, batch: list[Waiting]) -> None:
        units = [unit for unit, _ in batch]
        self._under_way.append(run := frozenset(units))
        loop, started = asyncio.get_running_loop(), time.monotonic()
        try:
            running = loop.run_in_executor(self._executor, self._infer_all, units)
        except RuntimeError as error:  # the executor takes nothing more
            running = loop.create_future()
            running.set_exception(error)
        # A callback and no task: what ends the event loop's tasks would leave those who wait without a result.
        running.add_done_callback(partial(self._finish, batch, run, started))

    def _infer_all(self, units: Sequence[Unit]) -> Sequence[Found] | BaseException:
        """Infer, in a thread; what is raised is returned, since a future cannot carry every exception."""
        try:
            found = self._infer(units)
        except BaseException as error:
            return error
        return found if len(found) == len(units) else ValueError(f"{len(found)} outcomes of {len(units)} units")

    def _finish(
        self,
        batch: list[Waiting],
        run: frozenset[Unit],
        started: float,
        running: asyncio.Future[Sequence[Found] | BaseException],
    ) -> None:
        self._under_way.remove(run)
        version, rows = batch[0][0].version, sum(unit.count for unit, _ in batch)
        newest = (time.monotonic() - started) / rows
        self._row_seconds += (newest - self._row_seconds) * (NEWEST_SHARE if self._row_seconds else 1)
        found = _read(running, version)
        if isinstance(found, RequestError):
            found = [found] * len(batch)
        for (_, future), outcome in zip(batch, found, strict=True):
            if not future.done():
                future.set_result(outcome)
        self._start()
        self._observe(version, rows)


def _read(
    running: asyncio.Future[Sequence[Found] | BaseException], version: LoadedVersion
) -> Sequence[Found] | RequestError:
    """Return what a run came to, or what those are told who waited for it."""
    name = version.package.manifest.service
    if running.cancelled() or running.exception() is not None:
        return Overloaded(f"{name}: this worker is ending")
    found = running.result()
    if not isinstance(found, BaseException):
        return found
    logger.error("%s: a run of the model broke", name, exc_info=found)
    return InferenceFailed(f"{name}: the prediction failed")

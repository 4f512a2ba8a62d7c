"""Heavy models are answered in threads: what arrives during a run is the next batch, and nobody's answer is lost."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
import uvloop

from rookery.errors import InferenceFailed, Overloaded, RequestError
from rookery.package.opener import Package
from rookery.pipeline.batcher import BATCH_BYTES, Batcher
from rookery.pipeline.call import PictureCall
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.unit import Outcome, Unit, infer_units
from tests.pipeline.units import (
    Model,
    answer_of,
    expected_of,
    make_rows,
    make_unit,
    two_versions,
)


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


@pytest.fixture
def versions(package: Package, dearer_package: Package) -> tuple[LoadedVersion, LoadedVersion]:
    return two_versions(package, dearer_package)


def test_arrivals_during_a_run_form_the_next_batch_without_timers(
    versions: tuple[LoadedVersion, LoadedVersion],
) -> None:
    model, sizes = Model(is_gated=True), []

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor, observe=lambda _, rows: sizes.append(rows))
            futures = [batcher.submit(make_unit(versions[0], "p-0"))]
            await asyncio.sleep(0)
            assert batcher.waiting == 0, "an idle model starts at once"
            futures += [batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(1, 10)]
            await asyncio.sleep(0.01)
            assert batcher.waiting == 9
            model.gate.set()
            outcomes = await asyncio.gather(*futures)
        assert [answer_of(outcome) for outcome in outcomes] == [expected_of(f"p-{n}", "1") for n in range(10)]

    asyncio.run(scenario())
    assert [len(run) for run in model.runs] == sizes == [1, 4, 4, 1]


def test_what_comes_in_one_turn_starts_together(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    """The files of one request, for example."""
    model = Model()

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor)
            await asyncio.gather(*(batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(32)))

    asyncio.run(scenario())
    assert [len(run) for run in model.runs] == [4] * 8


def test_rows_are_counted_and_not_units(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    sizes: list[int] = []

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(infer_units, executor, observe=lambda _, rows: sizes.append(rows))
            units = [make_rows(versions[0], *range(count)) for count in (2, 2, 1, 9, 3, 1)]
            outcomes = await asyncio.gather(*map(batcher.submit, units))
        for outcome, unit in zip(outcomes, units, strict=True):
            assert isinstance(outcome, Outcome)
            assert outcome.outputs is not None
            assert outcome.outputs.tolist() == [2.0 * n for n in range(unit.count)]

    asyncio.run(scenario())
    assert sizes == [4, 1, 9, 4], "a unit of more rows runs by itself"


def test_so_many_runs_are_under_way_as_are_allowed_and_share_what_waits(
    versions: tuple[LoadedVersion, LoadedVersion],
) -> None:
    async def scenario() -> None:
        model = Model(is_gated=True)
        with ThreadPoolExecutor(4) as executor:
            batcher = Batcher(model, executor, runs=2)
            units = [make_unit(versions[0], f"p-{n}") for n in range(6)]
            futures = [batcher.submit(unit) for unit in units]
            late = batcher.submit(make_unit(versions[0], "p-6"))
            await asyncio.sleep(0.01)
            assert all(map(batcher.is_under_way, units))
            assert batcher.waiting == 0
            waiting = batcher.submit(make_unit(versions[0], "p-7"))
            await asyncio.sleep(0.01)
            assert batcher.waiting == 1
            model.gate.set()
            await asyncio.gather(*futures, late, waiting)
            assert not any(map(batcher.is_under_way, units))
        assert sorted(len(run) for run in model.runs) == [1, 3, 4]

    asyncio.run(scenario())


def test_versions_never_share_a_run_and_take_turns_by_who_waited_longest(
    versions: tuple[LoadedVersion, LoadedVersion],
) -> None:
    model = Model(is_gated=True)

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor)
            names = ["p-0", "q-1", "p-2", "q-3", "p-4", "p-5", "p-6", "p-7"]
            futures = [batcher.submit(make_unit(versions[name[0] == "q"], name)) for name in names]
            model.gate.set()
            await asyncio.gather(*futures)

    asyncio.run(scenario())
    assert model.runs == [["p-0", "p-2", "p-4", "p-5"], ["q-1", "q-3"], ["p-6", "p-7"]]
    assert all(len(found) == 1 for found in model.versions)


def test_a_unit_of_many_bytes_ends_a_batch(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    model = Model(is_gated=True)
    large = "p-1" + " " * (BATCH_BYTES // 2)

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor)
            futures = [batcher.submit(make_unit(versions[0], name)) for name in (large, large, "p-2")]
            model.gate.set()
            await asyncio.gather(*futures)

    asyncio.run(scenario())
    assert [len(run) for run in model.runs] == [1, 2]


def test_a_caller_who_leaves_is_not_run_and_takes_no_room(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    """Wherever in the queue: ten thousand who lost patience must not lie in the memory until their turn comes."""
    model = Model(is_gated=True)

    class Caller(PictureCall):
        """One that can be seen to be gone."""

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor)
            running = batcher.submit(make_unit(versions[0], "p-0"))
            await asyncio.sleep(0)
            stayer = batcher.submit(make_unit(versions[0], "p-1"))
            callers = [Caller("single", (), (), 0.0) for _ in range(10_000)]
            left = [weakref.ref(caller) for caller in callers]
            leaving = [
                batcher.submit(make_unit(versions[0], f"p-{n}", call=caller)) for n, caller in enumerate(callers)
            ]
            callers.clear()
            last = batcher.submit(make_unit(versions[0], "p-10002"))
            for future in leaving:
                future.cancel()
            await asyncio.sleep(0)
            assert batcher.waiting == 2
            assert not any(caller() for caller in left)
            model.gate.set()
            await asyncio.gather(running, stayer, last)
            assert batcher.waiting == batcher.expect_wait() == 0

    asyncio.run(scenario())
    assert model.runs == [["p-0"], ["p-1", "p-10002"]]


def test_the_wait_is_judged_by_what_rows_took(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    async def scenario() -> None:
        model = Model(seconds=0.02)
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor)
            assert batcher.expect_wait() == 0, "nothing is known yet"
            await batcher.submit(make_unit(versions[0], "p-0"))
            futures = [batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(8)]
            assert 0.15 < batcher.expect_wait() < 2
            assert batcher.expect_wait(own=8) == 0
            await asyncio.gather(*futures)
            assert batcher.expect_wait() == 0

    asyncio.run(scenario())


# What breaks


@pytest.mark.parametrize(
    "error", [MemoryError("no room"), StopIteration(), SystemExit(3), KeyboardInterrupt()], ids=repr
)
def test_a_run_that_breaks_is_an_error_to_those_in_it_and_the_next_one_starts(
    versions: tuple[LoadedVersion, LoadedVersion], error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """Some exceptions cannot be carried by a future, and some would end the whole worker."""

    class Broken(Model):
        def __call__(self, units: Sequence[Unit]) -> list[Outcome | RequestError]:
            found = super().__call__(units)
            if len(self.runs) == 1:
                raise error
            return found

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(Broken(), executor)
            found = await asyncio.gather(*(batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(6)))
            assert [type(outcome) for outcome in found[:4]] == [InferenceFailed] * 4
            assert [answer_of(outcome) for outcome in found[4:]] == [expected_of(f"p-{n}", "1") for n in (4, 5)]
            assert batcher.waiting == 0

    asyncio.run(scenario())
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


@pytest.mark.parametrize("change", [lambda found: found[:-1], lambda found: [*found, found[0]], lambda _: []])
def test_too_few_or_too_many_outcomes_are_nobodys(
    versions: tuple[LoadedVersion, LoadedVersion], change: Callable[[Any], Any]
) -> None:
    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            model = Model()
            batcher = Batcher(lambda units: change(model(units)), executor)
            async with asyncio.timeout(20):
                found = await asyncio.gather(*(batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(3)))
            assert [type(outcome) for outcome in found] == [InferenceFailed] * 3

    asyncio.run(scenario())


def test_an_executor_that_ends_during_a_run_leaves_nobody_waiting(
    versions: tuple[LoadedVersion, LoadedVersion],
) -> None:
    """The run under way is told; the one that the executor had not begun, those that wait and those to come are not."""

    async def scenario() -> None:
        model, executor = Model(is_gated=True), ThreadPoolExecutor(1)
        batcher = Batcher(model, executor, runs=2)
        futures = [batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(20)]
        await until(lambda: executor._work_queue.qsize() == 1)
        executor.shutdown(wait=False, cancel_futures=True)
        model.gate.set()
        async with asyncio.timeout(20):
            found = await asyncio.gather(*futures)
            late = await batcher.submit(make_unit(versions[0], "p-20"))
        assert [answer_of(outcome) for outcome in found[:4]] == [expected_of(f"p-{n}", "1") for n in range(4)]
        assert [type(outcome) for outcome in [*found[4:], late]] == [Overloaded] * 17
        assert batcher.waiting == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_an_event_loop_may_end_while_runs_are_under_way(
    versions: tuple[LoadedVersion, LoadedVersion], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """All who wait are cancelled, and nothing is left behind to complain of."""
    complaints: list[dict[str, Any]] = []
    model, ended = Model(is_gated=True), []

    async def ask(batcher: Batcher, name: str) -> None:
        try:
            await batcher.submit(make_unit(versions[0], name))
        finally:
            ended.append(name)

    async def scenario(executor: ThreadPoolExecutor) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        batcher = Batcher(model, executor)
        asking = [asyncio.create_task(ask(batcher, f"p-{n}")) for n in range(10)]
        await asyncio.sleep(0.02)
        assert not any(task.done() for task in asking)

    with ThreadPoolExecutor(1) as executor:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(scenario(executor))
        model.gate.set()
    gc.collect()
    assert len(ended) == 10
    assert complaints == []


def test_nobody_overtakes_who_came_before(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    model = Model(is_gated=True)

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor)
            futures = [batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(50)]
            model.gate.set()
            await asyncio.gather(*futures)

    asyncio.run(scenario())
    order = [int(name[2:]) for run in model.runs for name in run]
    assert all(before < after for before, after in pairwise(order))

"""The heavy path answers every call once, whatever becomes of its units."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rookery.errors import InferenceFailed, InvalidPicture, NotReady, Overloaded
from rookery.package.opener import Package
from rookery.pipeline.answer_cache import AnswerCache, Compute, Obtained
from rookery.pipeline.cache.store import FakeStore
from rookery.pipeline.call import Call
from rookery.pipeline.heavy import HeavyPath
from rookery.pipeline.unit import Unit
from rookery.service.policies import Cache
from rookery.telemetry.metrics import PREDICTION_DURATION, REQUESTS
from tests.pipeline.conftest import Bench
from tests.pipeline.postcards import Postcards, draw, heavy_path, make_picture_call, postcard_bench, read
from tests.pipeline.units import Model

POLICY = Cache(enabled=True)


def run(scenario: Callable[[ThreadPoolExecutor], Awaitable[None]], threads: int = 2) -> None:
    """Run a scenario that must end, and leave no task behind."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario(executor)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*left, return_exceptions=True)

    with ThreadPoolExecutor(threads) as executor:
        asyncio.run(bounded())


def count(bench: Bench, metric: str) -> float:
    """Return a metric's observations so far, whatever its labels."""
    snapshot = bench.metrics.snapshot()
    counted = sum(value for name, _, value in snapshot.counters if name == metric)
    return counted + sum(sum(value.counts) for name, _, value in snapshot.histograms if name == metric)


BODY = b'{"weight_kg":1,"length_cm":100,"speed":"normal"}'


def test_where_an_answer_came_from_is_told_truly(package: Package) -> None:
    """First computed, then shared by who comes meanwhile, then known here, and known to another process."""
    function = Postcards(1, seconds=0.05)
    bench, store = postcard_bench(package, function), FakeStore()

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor, cache=AnswerCache(POLICY, shared=store))
        first, second = make_picture_call(draw(7)), make_picture_call(draw(7))
        await asyncio.gather(path.answer(first), path.answer(second))
        third, other = make_picture_call(draw(7)), make_picture_call(draw(7), factor=2)
        await path.answer(third)
        await path.answer(other)
        elsewhere = make_picture_call(draw(7))
        await heavy_path(bench, executor, cache=AnswerCache(POLICY, shared=store)).answer(elsewhere)
        calls = [first, second, third, other, elsewhere]
        assert [call.cache_result for call in calls] == ["miss", "shared", "hit", "miss", "hit"]
        assert [read(call)[0]["cached"] for call in calls] == [False, False, True, False, True]
        assert [read(call)[0]["number"] for call in calls] == [7, 7, 7, 14, 7]
        assert len({call.request_id for call in calls}) == 5

    run(scenario)
    assert sum(function.computed.values()) == 2
    assert count(bench, PREDICTION_DURATION.name) == 3, "what was known ran for nobody"
    assert count(bench, REQUESTS.name) == 5


def test_every_unit_counts_once_in_the_cache(package: Package) -> None:
    bench, cache = postcard_bench(package, Postcards(1)), AnswerCache(POLICY, shared=FakeStore())

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor, cache=cache)
        calls = [make_picture_call(*(draw((n + m) % 10) for m in range(1 + n % 4))) for n in range(100)]
        await asyncio.gather(*map(path.answer, calls[:50]))
        for call in calls[50:]:
            await path.answer(call)
        counts = cache.counts
        total = counts.hits_memory + counts.hits_redis + counts.shared + counts.misses
        assert total == sum(len(call.pictures) for call in calls)
        assert counts.misses == 10

    run(scenario)


def test_files_of_one_request_fill_the_runs_and_keep_their_order(package: Package) -> None:
    bench = postcard_bench(package, Postcards(1), batch_rows=16)
    sizes: list[int] = []

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor)
        path.batcher._observe = lambda _, rows: sizes.append(rows)
        call = make_picture_call(*map(draw, range(32)), factor=3)
        await path.answer(call)
        assert call.error is None
        assert [answer["number"] for answer in read(call)] == [3 * n for n in range(32)]
        assert [answer["name"] for answer in read(call)] == [f"{n}.png" for n in range(32)]

    run(scenario)
    assert sizes == [16, 16]


def test_an_error_says_nothing_of_a_cache_that_it_never_came_from(package: Package) -> None:
    bench = postcard_bench(package, Postcards(1))

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor, cache=AnswerCache(POLICY))
        for _ in range(2):
            torn, unlucky = make_picture_call(draw(1, is_torn=True)), make_picture_call(draw(199))
            await asyncio.gather(path.answer(torn), path.answer(unlucky))
            assert isinstance(torn.error, InvalidPicture)
            assert isinstance(unlucky.error, InferenceFailed)
            assert torn.cache_result == unlucky.cache_result == "miss"

    run(scenario)


# Overload


def test_more_calls_than_allowed_are_refused_by_id(package: Package) -> None:
    bench = postcard_bench(package, Postcards(1, seconds=0.02), concurrency=3)

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor)
        calls = [make_picture_call(draw(n)) for n in range(5)]
        await asyncio.gather(*map(path.answer, calls))
        assert [type(call.error) for call in calls] == [type(None)] * 3 + [Overloaded] * 2
        assert len({call.request_id for call in calls} - {""}) == 5
        assert bench.endpoint.in_flight == 0

    run(scenario)


def test_who_would_wait_too_long_is_told_at_once_and_what_is_known_is_answered_all_the_same(package: Package) -> None:
    bench = postcard_bench(package, Postcards(1, seconds=0.05), batch_rows=1, deadline_seconds=1.0)

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor, cache=AnswerCache(POLICY), runs=1)
        known = make_picture_call(draw(0))
        await path.answer(known)
        many = [make_picture_call(draw(n)) for n in range(100, 300, 2)]
        answering = [asyncio.create_task(path.answer(call)) for call in many]
        await asyncio.sleep(0.02)
        again = make_picture_call(draw(0))
        await path.answer(again)
        assert again.error is None
        assert again.cache_result == "hit"
        await asyncio.gather(*answering)
        accepted = [call for call in many if call.error is None]
        assert 2 <= len(accepted) <= 30
        refused = [call.error for call in many if isinstance(call.error, Overloaded)]
        assert len(accepted) + len(refused) == 100
        assert all(error.retry_after >= 1 for error in refused)
        fresh = make_picture_call(draw(1))
        await path.answer(fresh)
        assert fresh.error is None, "when the queue is empty everybody is welcome"

    run(scenario)


def test_a_request_of_many_files_is_not_refused_for_its_own_length(package: Package) -> None:
    bench = postcard_bench(package, Postcards(1, seconds=0.03), batch_rows=1, deadline_seconds=1.0)

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor, runs=1)
        await path.answer(make_picture_call(draw(0)))
        call = make_picture_call(*map(draw, range(30)))
        await path.answer(call)
        assert call.error is None

    run(scenario)


# What breaks


class BrokenCache(AnswerCache):
    """A cache with a fault of its own, for every third picture of a request."""

    async def obtain(self, unit: Unit, compute: Compute) -> Obtained:
        """Return an outcome, or break."""
        if unit.place % 3 == 2:
            raise OSError("secret")
        return await super().obtain(unit, compute)


def test_whatever_breaks_on_the_way_is_500_for_its_call_and_nobody_else(
    package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    bench = postcard_bench(package, Postcards(1, seconds=0.01))

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor, cache=BrokenCache(POLICY))
        broken, sound = make_picture_call(*map(draw, range(9))), make_picture_call(draw(50), draw(51))
        await asyncio.gather(path.answer(broken), path.answer(sound))
        assert isinstance(broken.error, InferenceFailed)
        assert broken.payload == b"InferenceFailed"
        assert [answer["number"] for answer in read(sound)] == [50, 51]
        assert bench.endpoint.in_flight == path.batcher.waiting == 0

    run(scenario)
    assert "secret" in caplog.text
    assert count(bench, REQUESTS.name) == 2


def test_a_stage_that_raises_before_inference_leaks_no_slot(package: Package, dearer_package: Package) -> None:
    bench = Bench(package, dearer_package, weights={"1": 50, "2": 50})

    def choose(key: str) -> Any:
        raise OSError("no")

    bench.endpoint.choose = choose  # type: ignore[method-assign]

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor)
        call = Call("single", BODY, 1e18)
        await path.answer(call)
        assert isinstance(call.error, InferenceFailed)
        assert call.request_id
        assert bench.endpoint.in_flight == 0

    run(scenario)


def test_without_a_version_nothing_is_begun() -> None:
    async def scenario(executor: ThreadPoolExecutor) -> None:
        call = Call("single", BODY, 1e18)
        await heavy_path(Bench(), executor).answer(call)
        assert isinstance(call.error, NotReady)

    run(scenario)


def test_a_worker_that_is_ending_says_so(package: Package) -> None:
    """Its threads take nothing more while requests are still here."""
    bench = postcard_bench(package, Postcards(1))

    async def scenario(executor: ThreadPoolExecutor) -> None:
        ended = ThreadPoolExecutor(1)
        ended.shutdown()
        path = heavy_path(bench, ended, cache=AnswerCache(POLICY))
        call = make_picture_call(draw(1), draw(2))
        await path.answer(call)
        assert isinstance(call.error, Overloaded)

    run(scenario)


# Callers who leave


def test_a_caller_of_many_files_who_leaves_takes_all_of_them_along(package: Package) -> None:
    model = Model(is_gated=True)
    bench = postcard_bench(package, Postcards(1))

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor, cache=AnswerCache(POLICY), runs=1, infer=model)
        asking = asyncio.create_task(path.answer(make_picture_call(*map(draw, range(32)))))
        await asyncio.sleep(0.05)
        assert path.batcher.waiting == 28
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.sleep(0.01)
        assert bench.endpoint.in_flight == path.batcher.waiting == 0
        model.gate.set()

    run(scenario)


@pytest.mark.parametrize("is_hasty", [False, True])
def test_who_lost_patience_and_asks_again_finds_the_run_that_is_under_way(package: Package, is_hasty: bool) -> None:
    """A hasty cache, which forgets what a thread is at as soon as nobody waits for it, computes it twice at a time."""
    function = Postcards(1, seconds=0.8)
    bench = postcard_bench(package, function)

    async def ask(path: HeavyPath, seconds: float) -> Call:
        call = make_picture_call(draw(5))
        try:
            async with asyncio.timeout(seconds):
                await path.answer(call)
        except TimeoutError:
            pass
        return call

    async def scenario(executor: ThreadPoolExecutor) -> None:
        path = heavy_path(bench, executor, cache=AnswerCache(POLICY))
        if is_hasty:
            path = HeavyPath(bench.pipeline, path.batcher, AnswerCache(POLICY))
        assert (await ask(path, 0.2)).payload is None
        assert (await ask(path, 0.2)).payload is None
        if is_hasty:
            return
        assert (await ask(path, 20)).cache_result == "shared"
        assert (await ask(path, 20)).cache_result == "hit"

    run(scenario)
    assert function.computed.total() == (2 if is_hasty else 1)
    assert bool(function.doubles) == is_hasty

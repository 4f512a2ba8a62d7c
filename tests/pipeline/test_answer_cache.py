"""Earlier outcomes and those under way: computed once, never shared across versions, true about their origin."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from rookery.errors import RequestError
from rookery.package.opener import Package
from rookery.pipeline.answer_cache import AnswerCache, make_key
from rookery.pipeline.batcher import Batcher
from rookery.pipeline.cache.entry import Entry
from rookery.pipeline.cache.store import FakeStore
from rookery.pipeline.call import CacheResult
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.unit import Outcome, Unit
from rookery.service.policies import Cache
from tests.pipeline.postcards import Postcards, postcard_bench
from tests.pipeline.units import Model, answer_of, expected_of, make_rows, make_unit, two_versions

POLICY = Cache(enabled=True)


@pytest.fixture
def versions(package: Package, dearer_package: Package) -> tuple[LoadedVersion, LoadedVersion]:
    return two_versions(package, dearer_package)


class Computing:
    """A computation that is counted, and waits until it is let go on."""

    def __init__(self) -> None:
        self.model = Model()
        self.counts: Counter[bytes] = Counter()
        self.gate = asyncio.Event()
        self.cancelled = 0

    async def __call__(self, unit: Unit) -> Outcome | RequestError:
        """Answer a unit."""
        self.counts[make_key(unit)] += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.model([unit])[0]


async def ask(cache: AnswerCache, unit: Unit, computing: Computing) -> tuple[float | str, CacheResult]:
    outcome, result = await cache.obtain(unit, computing)
    return answer_of(outcome), result


def test_what_was_computed_is_known_afterwards(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    async def scenario() -> None:
        cache, computing = AnswerCache(POLICY), Computing()
        computing.gate.set()
        first = await ask(cache, make_unit(versions[0], "p-1"), computing)
        second = await ask(cache, make_unit(versions[0], "p-1"), computing)
        assert (first, second) == ((1_000_001.0, "miss"), (1_000_001.0, "hit"))
        assert (cache.counts.misses, cache.counts.hits_memory, sum(computing.counts.values())) == (1, 1, 1)

    asyncio.run(scenario())


def test_versions_share_nothing(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    async def scenario() -> None:
        cache, computing = AnswerCache(POLICY), Computing()
        computing.gate.set()
        answers = [await ask(cache, make_unit(version, "p-7"), computing) for version in versions]
        assert answers == [(1_000_007.0, "miss"), (2_000_007.0, "miss")]

    asyncio.run(scenario())


def test_the_same_at_once_is_computed_once(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    async def scenario() -> None:
        cache, computing = AnswerCache(POLICY), Computing()
        asking = [asyncio.create_task(ask(cache, make_unit(versions[0], "p-3"), computing)) for _ in range(50)]
        await asyncio.sleep(0.01)
        computing.gate.set()
        answers = await asyncio.gather(*asking)
        assert {answer for answer, _ in answers} == {1_000_003.0}
        assert Counter(result for _, result in answers) == {"miss": 1, "shared": 49}
        assert list(computing.counts.values()) == [1]
        assert (cache.counts.misses, cache.counts.shared) == (1, 49)

    asyncio.run(scenario())


def test_the_first_may_leave_and_the_others_get_their_answer(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    async def scenario() -> None:
        cache, computing = AnswerCache(POLICY), Computing()
        first, second = (asyncio.create_task(ask(cache, make_unit(versions[0], "p-3"), computing)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        computing.gate.set()
        assert await second == (1_000_003.0, "shared")
        assert (list(computing.counts.values()), computing.cancelled) == ([1], 0)

    asyncio.run(scenario())


def test_what_nobody_waits_for_is_not_computed_and_may_be_asked_again(
    versions: tuple[LoadedVersion, LoadedVersion],
) -> None:
    async def scenario() -> None:
        cache, computing = AnswerCache(POLICY), Computing()
        asking = [asyncio.create_task(ask(cache, make_unit(versions[0], "p-3"), computing)) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        computing.gate.set()
        assert await ask(cache, make_unit(versions[0], "p-3"), computing) == (1_000_003.0, "miss")
        assert computing.cancelled == 1

    asyncio.run(scenario())


def test_errors_are_told_to_all_and_kept_for_nobody(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    async def scenario() -> None:
        cache, computing = AnswerCache(POLICY), Computing()
        asking = [asyncio.create_task(ask(cache, make_unit(versions[0], "poison-3"), computing)) for _ in range(2)]
        await asyncio.sleep(0.01)
        computing.gate.set()
        assert {answer for answer, _ in await asyncio.gather(*asking)} == {"poison-3 is poison"}
        assert (await ask(cache, make_unit(versions[0], "poison-3"), computing))[1] == "miss"

    asyncio.run(scenario())


def test_a_computation_that_raises_raises_for_all_and_leaves_nothing(
    versions: tuple[LoadedVersion, LoadedVersion],
) -> None:
    async def fail(unit: Unit) -> Outcome | RequestError:
        await asyncio.sleep(0.01)
        raise OSError("gone")

    async def scenario() -> None:
        cache, computing = AnswerCache(POLICY), Computing()
        computing.gate.set()
        unit = make_unit(versions[0], "p-3")
        found = await asyncio.gather(*(cache.obtain(unit, fail) for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in found] == [OSError] * 3
        assert await ask(cache, unit, computing) == (1_000_003.0, "miss")

    asyncio.run(scenario())


def test_another_process_finds_it_in_the_shared_store(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    async def scenario() -> None:
        store, computing = FakeStore(), Computing()
        computing.gate.set()
        one, two = AnswerCache(POLICY, shared=store), AnswerCache(POLICY, shared=store)
        unit = make_unit(versions[0], "p-9")
        assert await ask(one, unit, computing) == (1_000_009.0, "miss")
        assert await ask(two, unit, computing) == (1_000_009.0, "hit")
        assert (two.counts.hits_redis, two.counts.misses) == (1, 0)
        assert await ask(two, unit, computing) == (1_000_009.0, "hit")
        assert two.counts.hits_memory == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("outputs", [b"", b"\0\0\0", b"\0" * 8, b"\0\0\xc0\x7f", b"\0\0\x80\x7f"])
def test_an_entry_that_cannot_be_this_units_is_a_miss(
    versions: tuple[LoadedVersion, LoadedVersion], outputs: bytes
) -> None:
    """Well-formed, but of another length, or no finite number."""

    async def scenario() -> None:
        store, computing = FakeStore(), Computing()
        computing.gate.set()
        unit = make_unit(versions[0], "p-9")
        await store.put(make_key(unit), Entry(parts={}, outputs=outputs))
        assert await ask(AnswerCache(POLICY, shared=store), unit, computing) == (1_000_009.0, "miss")

    asyncio.run(scenario())


def test_a_store_that_is_broken_or_slow_changes_no_answer(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    async def scenario() -> None:
        computing = Computing()
        computing.gate.set()
        for store in (FakeStore(broken=True), FakeStore(delay=1.0)):
            start = time.perf_counter()
            assert (await ask(AnswerCache(POLICY, shared=store), make_unit(versions[0], "p-2"), computing))[1] == "miss"
            assert time.perf_counter() - start < 0.9
            assert store.counts.errors

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_of_repeated_questions_is_answered_truly(
    versions: tuple[LoadedVersion, LoadedVersion], seed: int
) -> None:
    """Thousands of callers over few contents and two versions, many of whom leave: each gets its own answer."""
    chance = random.Random(seed)
    faults: list[str] = []

    async def scenario() -> None:
        model = Model(seconds=0.001)
        with ThreadPoolExecutor(2) as executor:
            batcher = Batcher(model, executor, runs=2)
            cache = AnswerCache(Cache(enabled=True, memory_bytes=20_000), shared=FakeStore(delay=0.001))

            async def compute(unit: Unit) -> Outcome | RequestError:
                return await batcher.submit(unit)

            async def call(number: int) -> None:
                await asyncio.sleep(chance.random() * 0.3)
                name, version = f"{chance.choice(['p', 'poison'])}-{chance.randrange(40)}", chance.choice(versions)
                asking = asyncio.create_task(cache.obtain(make_unit(version, name), compute))
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.random() * 0.003)
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)
                    return
                outcome, _ = await asking
                if answer_of(outcome) != expected_of(name, version.version):
                    faults.append(f"{number}: {name} of {version.version} got {answer_of(outcome)}")

            async with asyncio.timeout(60):
                await asyncio.gather(*(call(number) for number in range(3000)))
            assert batcher.waiting == 0
            assert cache.memory.used_bytes <= 20_000

    asyncio.run(scenario())
    assert faults == []


def test_what_a_thread_is_at_is_not_given_up(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    """All have left, and its outcome is there for those who ask again: during the run, and after it."""

    async def scenario() -> None:
        computing = Computing()
        cache = AnswerCache(POLICY, is_under_way=lambda _: True)
        unit = make_unit(versions[0], "p-3")
        for _ in range(3):
            asking = asyncio.create_task(ask(cache, make_unit(versions[0], "p-3"), computing))
            await asyncio.sleep(0.005)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        again = asyncio.create_task(ask(cache, unit, computing))
        await asyncio.sleep(0.005)
        computing.gate.set()
        assert await again == (1_000_003.0, "shared")
        assert await ask(cache, unit, computing) == (1_000_003.0, "hit")
        assert (computing.counts.total(), computing.cancelled) == (1, 0)

    asyncio.run(scenario())


def test_who_asks_while_a_computation_is_on_its_way_out_begins_anew(
    versions: tuple[LoadedVersion, LoadedVersion],
) -> None:
    """In the very turn in which the last one leaves, before the cancelled task has ended."""

    async def scenario() -> None:
        cache, computing = AnswerCache(POLICY), Computing()
        unit = make_unit(versions[0], "p-3")
        first = asyncio.create_task(ask(cache, unit, computing))
        await asyncio.sleep(0.005)
        first.cancel()
        first.add_done_callback(lambda _: asked.append(asyncio.create_task(ask(cache, unit, computing))))
        asked: list[asyncio.Task[tuple[float | str, CacheResult]]] = []
        await asyncio.gather(first, return_exceptions=True)
        computing.gate.set()
        assert await asked[0] == (1_000_003.0, "miss")
        assert computing.cancelled == 1
        assert await ask(cache, unit, computing) == (1_000_003.0, "hit")

    asyncio.run(scenario())


def test_parameters_count_for_a_function_and_not_for_a_graph(package: Package, dearer_package: Package) -> None:
    graph, _ = two_versions(package, dearer_package)
    function = postcard_bench(package, Postcards(1)).endpoint.versions["1"]
    other = postcard_bench(package, Postcards(2)).endpoint.versions["1"]
    keys = [
        make_key(replace(make_unit(version, "p-1"), parameters=parameters))
        for version in (graph, function, other)
        for parameters in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3})
    ]
    assert len(set(keys)) == 5
    assert keys[0] == keys[1] == keys[2]
    assert keys[3] == keys[4]


def test_rows_of_another_number_or_order_are_others(package: Package, dearer_package: Package) -> None:
    version, other = two_versions(package, dearer_package)
    units = [make_rows(version, 1, 2), make_rows(version, 2, 1), make_rows(version, 1), make_rows(version, 1, 2, 2)]
    assert len({make_key(unit) for unit in [*units, make_rows(other, 1, 2)]}) == 5
    assert make_key(units[0]) == make_key(make_rows(version, 1, 2))

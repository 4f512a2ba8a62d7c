"""Heavy models are answered in threads: what arrives during a run is the next batch, and nobody's answer is lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from rookery.package.opener import Package
from rookery.pipeline.batcher import BATCH_BYTES, Batcher
from rookery.pipeline.endpoint import LoadedVersion
from tests.pipeline.units import Model, SwappingModel, answer_of, expected_of, make_unit, two_versions


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
            futures = [batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(10)]
            assert batcher.waiting == 9
            model.gate.set()
            outcomes = await asyncio.gather(*futures)
        assert [answer_of(outcome) for outcome in outcomes] == [expected_of(f"p-{n}", "1") for n in range(10)]

    asyncio.run(scenario())
    assert [len(run) for run in model.runs] == sizes == [1, 4, 4, 1]


def test_an_idle_model_starts_at_once(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    model = Model()

    async def scenario() -> None:
        with ThreadPoolExecutor(2) as executor:
            batcher = Batcher(model, executor, runs=2)
            for n in range(3):
                await batcher.submit(make_unit(versions[0], f"p-{n}"))

    asyncio.run(scenario())
    assert model.runs == [["p-0"], ["p-1"], ["p-2"]]


def test_so_many_runs_are_under_way_as_are_allowed(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    async def scenario() -> None:
        model = Model(is_gated=True)
        with ThreadPoolExecutor(4) as executor:
            batcher = Batcher(model, executor, runs=2)
            futures = [batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(6)]
            assert batcher.waiting == 4
            model.gate.set()
            await asyncio.gather(*futures)
        assert sorted(len(run) for run in model.runs) == [1, 1, 4]

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
    assert model.runs == [["p-0"], ["q-1", "q-3"], ["p-2", "p-4", "p-5", "p-6"], ["p-7"]]
    assert all(len(found) == 1 for found in model.versions)


def test_a_unit_of_many_bytes_ends_a_batch(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    model = Model(is_gated=True)
    large = "p-1" + " " * (BATCH_BYTES // 2)

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor)
            futures = [batcher.submit(make_unit(versions[0], name)) for name in ("p-0", large, large, "p-3")]
            model.gate.set()
            await asyncio.gather(*futures)

    asyncio.run(scenario())
    assert [len(run) for run in model.runs] == [1, 1, 2]


def test_a_caller_who_leaves_is_not_run(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    model = Model(is_gated=True)

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor)
            running, leaver, stayer = (batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(3))
            leaver.cancel()
            model.gate.set()
            await asyncio.gather(running, stayer)
            assert batcher.waiting == 0

    asyncio.run(scenario())
    assert model.runs == [["p-0"], ["p-2"]]


def test_a_run_that_breaks_tells_all_who_waited_for_it_and_the_next_one_starts(
    versions: tuple[LoadedVersion, LoadedVersion],
) -> None:
    class Broken(Model):
        def __call__(self, units: object) -> list:
            if len(self.runs) == 0:
                self.runs.append([])
                raise MemoryError("no room")
            return super().__call__(units)  # type: ignore[arg-type]

    async def scenario() -> None:
        model = Broken()
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(model, executor)
            first, second = (batcher.submit(make_unit(versions[0], f"p-{n}")) for n in range(2))
            with pytest.raises(MemoryError):
                await first
            assert answer_of(await second) == expected_of("p-1", "1")

    asyncio.run(scenario())


async def storm(model: Model, versions: tuple[LoadedVersion, LoadedVersion], *, count: int, seed: int) -> list[str]:
    """Send distinct units at random moments, poison among them; some are given up. Returns what went wrong."""
    chance = random.Random(seed)
    faults: list[str] = []
    with ThreadPoolExecutor(3) as executor:
        batcher = Batcher(model, executor, runs=3)

        async def ask(number: int) -> None:
            await asyncio.sleep(chance.random() * 0.2)
            name = f"{chance.choice(['p', 'p', 'p', 'poison'])}-{number}"
            version = chance.choice(versions)
            future = batcher.submit(make_unit(version, name))
            if chance.random() < 0.2:
                await asyncio.sleep(chance.random() * 0.01)
                future.cancel()
                return
            outcome = await future
            if answer_of(outcome) != expected_of(name, version.version):
                faults.append(f"{name} of version {version.version} got {answer_of(outcome)}")

        async with asyncio.timeout(60):
            await asyncio.gather(*(ask(number) for number in range(count)))
        assert batcher.waiting == 0
    return faults


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_units_get_their_own_answers(versions: tuple[LoadedVersion, LoadedVersion], seed: int) -> None:
    """Poison, callers who leave and two versions among them; nothing is left waiting."""
    model = Model(seconds=0.0005)
    assert asyncio.run(storm(model, versions, count=3000, seed=seed)) == []
    names = [name for run in model.runs for name in run]
    assert len(names) == len(set(names))
    assert max(len(run) for run in model.runs) == versions[0].batch_rows
    assert all(len(found) == 1 for found in model.versions)


def test_a_batcher_that_swaps_answers_would_be_noticed(versions: tuple[LoadedVersion, LoadedVersion]) -> None:
    assert asyncio.run(storm(SwappingModel(seconds=0.0005), versions, count=500, seed=1))


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

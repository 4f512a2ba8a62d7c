"""Whatever comes at whatever moment, batches keep their rules and every unit gets its own outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rookery.errors import RequestError
from rookery.package.opener import Package
from rookery.pipeline.batcher import Batcher
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.unit import Outcome, Unit
from tests.pipeline.units import (
    Model,
    SwappingModel,
    answer_of,
    expected_of,
    make_rows,
    make_unit,
    two_versions,
)


@pytest.fixture
def versions(package: Package, dearer_package: Package) -> tuple[LoadedVersion, LoadedVersion]:
    return two_versions(package, dearer_package)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrivals=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9), st.booleans()), min_size=1, max_size=40),
    batch_rows=st.sampled_from([1, 2, 4, 16]),
    runs=st.integers(1, 3),
)
def test_every_batch_keeps_the_rules(
    versions: tuple[LoadedVersion, LoadedVersion],
    arrivals: list[tuple[int, int, bool]],
    batch_rows: int,
    runs: int,
) -> None:
    """One version, no more rows than allowed unless it is one unit, nobody twice, nobody overtaken, nobody who left."""
    taken: list[list[Unit]] = []

    def infer(units: Sequence[Unit]) -> list[Outcome | RequestError]:
        taken.append(list(units))
        return [Outcome(outputs=np.asarray(unit.rows, np.float32)[:, 0]) for unit in units]

    async def scenario() -> None:
        batcher = Batcher(infer, executor, runs=runs)
        units = [make_rows(versions[place], *range(count)) for place, count, _ in arrivals]
        futures = [batcher.submit(unit) for unit in units]
        for future, (_, _, leaves) in zip(futures, arrivals, strict=True):
            if leaves:
                future.cancel()
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert batcher.waiting == batcher.expect_wait() == 0
        stayers = [unit for unit, (_, _, leaves) in zip(units, arrivals, strict=True) if not leaves]
        assert {unit for batch in taken for unit in batch} == set(stayers)
        assert sum(map(len, taken)) == len(stayers)
        for unit, outcome, (_, _, leaves) in zip(units, outcomes, arrivals, strict=True):
            assert isinstance(outcome, asyncio.CancelledError if leaves else Outcome)
            assert not isinstance(outcome, Outcome) or np.array_equal(outcome.outputs, unit.rows[:, 0])  # type: ignore[index, arg-type]
        for batch in taken:
            assert len({unit.version for unit in batch}) == 1
            assert len(batch) == 1 or sum(unit.count for unit in batch) <= batch_rows
            assert [units.index(unit) for unit in batch] == sorted(units.index(unit) for unit in batch)

    for version in versions:
        version.batch_rows = batch_rows
    with ThreadPoolExecutor(1) as executor:
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

"""Thousands of calls at random moments, with every kind of trouble among them: each gets its own answer or error.

Poison (pictures that do not decode, a function that raises, rows whose answer is no number, bodies that are none),
callers who leave whenever they like, requests of several files, two versions, a shared store that is slow. The same
storm over builds that are wrong on purpose shows that it would notice.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import pytest

from rookery.errors import InferenceFailed, InvalidInput, InvalidPicture, RequestError
from rookery.package.opener import Package
from rookery.pipeline.answer_cache import AnswerCache
from rookery.pipeline.batcher import Batcher
from rookery.pipeline.cache.store import FakeStore
from rookery.pipeline.call import Call
from rookery.pipeline.heavy import HeavyPath
from rookery.pipeline.unit import Outcome, Unit, infer_units
from rookery.service.policies import Cache, Limits
from rookery.telemetry.metrics import REQUESTS
from tests.pipeline.conftest import SERVICE as PARCELS
from tests.pipeline.conftest import Bench
from tests.pipeline.postcards import ANGRY, Postcards, draw, heavy_path, make_picture_call, postcard_bench, read

Check = Callable[[], str]
"""Says what is wrong with an answer; empty when nothing is."""
Ask = Callable[[random.Random, int], tuple[Call, Check]]
"""Makes the call of a number, and what it must come to."""
POLICY = Cache(enabled=True, memory_bytes=60_000)
PATIENT = Limits(deadline_seconds=1_000, concurrency=10_000)
"""Nobody is refused: all that goes wrong is a fault."""


def ask_postcards(contents: int) -> Ask:
    """Ask for one to four pictures out of so many."""

    def ask(chance: random.Random, number: int) -> tuple[Call, Check]:
        count, factor = chance.choice((1, 1, 1, 2, 4)), chance.randint(1, 3)
        numbers = [chance.randrange(contents) if contents else 8 * number + place for place in range(count)]
        torn = [chance.random() < 0.05 for _ in numbers]
        pictures = [draw(n, is_torn=is_torn) for n, is_torn in zip(numbers, torn, strict=True)]
        call = make_picture_call(*pictures, factor=factor)
        faults = [
            InvalidPicture if is_torn else InferenceFailed if n % 100 == ANGRY else None
            for n, is_torn in zip(numbers, torn, strict=True)
        ]
        expected = next((fault for fault in faults if fault), None)

        def check() -> str:
            if expected is not None or call.error is not None:
                return "" if type(call.error) is expected else f"{call.error!r} instead of {expected}"
            assert call.version is not None
            by = int(call.version.version)
            wanted = [(n * factor, by, f"{place}.png") for place, n in enumerate(numbers)]
            found = [(answer["number"], answer["by"], answer["name"]) for answer in read(call)]
            return "" if found == wanted else f"{found} instead of {wanted}"

        return call, check

    return ask


def ask_parcels(chance: random.Random, number: int) -> tuple[Call, Check]:
    """Ask for the prices of one to five parcels; -1 kg is a price that is no number, 500 kg no parcel."""
    weights = [(number * 7 + place) % 3_000 / 30 for place in range(chance.choice((1, 1, 3, 5)))]
    poison, expected = chance.choice([(-1, InferenceFailed), (500, InvalidInput)] + [(None, None)] * 8)
    if poison is not None:
        weights[chance.randrange(len(weights))] = poison
    rows = [{"weight_kg": weight, "length_cm": 120, "speed": "express"} for weight in weights]
    is_single = len(rows) == 1
    body = json.dumps(rows[0] if is_single else {"rows": rows}).encode()
    call = Call("single" if is_single else "batch", body, time.perf_counter())

    def check() -> str:
        if expected is not None or call.error is not None:
            return "" if type(call.error) is expected else f"{call.error!r} instead of {expected}"
        assert call.version is not None
        factor = {"1": 2.0, "2": 3.0}[call.version.version]
        found = [answer["prediction"] for answer in read(call)]
        wanted = [10 + factor * weight for weight in weights]
        return "" if found == pytest.approx(wanted, rel=1e-5) else f"{found} instead of {wanted}"

    return call, check


async def storm(path: HeavyPath, bench: Bench, ask: Ask, *, count: int, seed: int, leaving: float = 0.25) -> list[str]:
    """Send calls at random moments, a share of which leave at random moments. Returns what went wrong."""
    chance = random.Random(seed)
    faults: list[str] = []
    answered = 0

    async def one(number: int) -> None:
        nonlocal answered
        await asyncio.sleep(chance.random() * 0.5)
        call, check = ask(chance, number)
        try:
            async with asyncio.timeout(chance.random() * 0.02 if chance.random() < leaving else None):
                await path.answer(call)
        except TimeoutError:
            if call.payload is not None:
                answered += 1
            return
        answered += 1
        fault = check()
        if fault:
            faults.append(f"call {number}: {fault}")

    async with asyncio.timeout(90):
        await asyncio.gather(*(one(number) for number in range(count)))
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*left, return_exceptions=True)
    counted = sum(value for name, _, value in bench.metrics.snapshot().counters if name == REQUESTS.name)
    if (bench.endpoint.in_flight, path.batcher.waiting, counted) != (0, 0, answered):
        faults.append(f"{bench.endpoint.in_flight} in flight, {path.batcher.waiting} waiting, {counted}/{answered}")
    return faults


def postcards(package: Package, *functions: Postcards, same_digest: bool = False) -> Bench:
    return postcard_bench(package, *functions, same_digest=same_digest, **asdict(PATIENT) | {"rows": 32})


def parcels(*packages: Package) -> Bench:
    bench = Bench(*packages, service=replace(PARCELS, limits=PATIENT), weights={"1": 50, "2": 50})
    for version in bench.endpoint.versions.values():
        version.batch_rows = 8
    return bench


def run_storm(
    bench: Bench, ask: Ask, *, cache: AnswerCache | None = None, infer: Any = infer_units, **more: Any
) -> list[str]:
    with ThreadPoolExecutor(3) as executor:
        path = heavy_path(bench, executor, cache=cache, runs=3, infer=infer)
        return asyncio.run(storm(path, bench, ask, **more))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_different_requests_get_their_own_answers(package: Package, seed: int) -> None:
    bench = postcards(package, Postcards(1), Postcards(2))
    assert run_storm(bench, ask_postcards(0), count=2_500, seed=seed) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_repeated_requests_are_answered_truly_and_computed_once_at_a_time(
    package: Package, seed: int
) -> None:
    functions = Postcards(1, seconds=0.001), Postcards(2, seconds=0.001)
    bench = postcards(package, *functions)
    cache = AnswerCache(POLICY, shared=FakeStore(delay=0.001))
    assert run_storm(bench, ask_postcards(100), cache=cache, count=3_000, seed=seed) == []
    assert [function.doubles for function in functions] == [[], []]
    # Whether an earlier answer is found or one under way is joined, is a matter of how fast the machine is.
    assert cache.counts.shared + cache.counts.hits_memory + cache.counts.hits_redis > 100
    assert cache.counts.evictions > 20
    assert cache.memory.used_bytes <= POLICY.memory_bytes


@pytest.mark.parametrize("is_cached", [False, True], ids=["without a cache", "with a cache"])
@pytest.mark.parametrize("seed", [1, 2])
def test_thousands_of_rows_get_their_own_answers(
    package: Package, dearer_package: Package, seed: int, is_cached: bool
) -> None:
    bench = parcels(package, dearer_package)
    cache = AnswerCache(POLICY, shared=FakeStore(delay=0.001)) if is_cached else None
    assert run_storm(bench, ask_parcels, cache=cache, count=3_000, seed=seed) == []


def test_who_asks_again_and_again_without_patience_has_nothing_computed_twice_at_a_time(package: Package) -> None:
    function = Postcards(1, seconds=0.01)
    bench = postcards(package, function)
    cache = AnswerCache(Cache(enabled=True, memory_bytes=1))
    assert run_storm(bench, ask_postcards(20), cache=cache, count=600, seed=1, leaving=0.95) == []
    assert function.doubles == []


# Builds that are wrong on purpose


def has_wrong_answers(faults: list[str]) -> bool:
    return any("instead of [" in fault for fault in faults)


def swap(units: Sequence[Unit]) -> list[Outcome | RequestError]:
    """Infer, and mistake the first for the second now and then."""
    found = infer_units(units)
    return [found[1], found[0], *found[2:]] if len(found) > 1 else found


class Hasty(Batcher):
    """Answers units of whatever version together."""

    def submit(self, unit: Unit) -> asyncio.Future[Outcome | RequestError]:
        """Take a unit as if it were the first version's."""
        object.__setattr__(unit, "version", self.first)
        return super().submit(unit)

    first: Any = None


def test_a_run_that_swaps_two_outcomes_would_be_noticed(package: Package, dearer_package: Package) -> None:
    bench = postcards(package, Postcards(1), Postcards(2))
    assert has_wrong_answers(run_storm(bench, ask_postcards(0), count=500, seed=1, infer=swap))
    bench = parcels(package, dearer_package)
    assert run_storm(bench, ask_parcels, count=3_000, seed=1, infer=swap)


def test_versions_that_share_a_run_would_be_noticed(package: Package) -> None:
    bench = postcards(package, Postcards(1), Postcards(2))
    with ThreadPoolExecutor(3) as executor:
        batcher = Hasty(infer_units, executor)
        batcher.first = bench.endpoint.versions["1"]
        path = HeavyPath(bench.pipeline, batcher)
        assert has_wrong_answers(asyncio.run(storm(path, bench, ask_postcards(0), count=300, seed=1)))


def test_a_key_that_leaves_the_version_out_would_be_noticed(package: Package) -> None:
    bench = postcards(package, Postcards(1), Postcards(2), same_digest=True)
    assert has_wrong_answers(run_storm(bench, ask_postcards(50), cache=AnswerCache(POLICY), count=500, seed=1))

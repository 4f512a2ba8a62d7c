"""Heavy models are answered in threads: what arrives during a run is the next batch, and nobody's answer is lost."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from rookery.errors import Overloaded
from rookery.package.opener import Package
from rookery.pipeline.batcher import BATCH_BYTES, Batcher
from rookery.pipeline.call import Call, Pass
from rookery.pipeline.pipeline import Pipeline
from rookery.service.definition import Service
from rookery.service.policies import Limits
from rookery.service.task import Regression
from tests.pipeline.conftest import Bench, Parcel, encode_plainly, make_call


class GatedPipeline(Pipeline):
    """A pipeline whose runs wait until they are let through, so that a test decides what arrives during a run."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.endpoint, encode_plainly, bench.metrics)
        self.gate = threading.Event()
        self.sizes: list[int] = []

    def infer(self, work: Pass) -> None:
        assert self.gate.wait(10)
        self.sizes.append(len(work.calls))
        super().infer(work)


def call_for(weight: int) -> Call:
    return make_call(json.dumps({"weight_kg": weight, "length_cm": 100.0, "speed": "normal"}).encode())


async def until(condition: object) -> None:
    end = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def test_arrivals_during_a_run_form_the_next_batch_without_timers(package: Package) -> None:
    async def scenario() -> None:
        pipeline = GatedPipeline(Bench(package))
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(pipeline, executor, rows=16)
            calls = [call_for(weight) for weight in range(1, 31)]
            first = asyncio.create_task(batcher.answer(calls[0]))
            await asyncio.sleep(0)
            others = [asyncio.create_task(batcher.answer(call)) for call in calls[1:]]
            await until(lambda: pipeline.endpoint.in_flight == 30)
            pipeline.gate.set()
            await asyncio.gather(first, *others)
        assert pipeline.sizes == [1, 16, 13]
        assert [json.loads(call.payload or b"")["prediction"] for call in calls] == [2.0 * n for n in range(1, 31)]
        assert pipeline.endpoint.in_flight == 0

    asyncio.run(scenario())


def test_large_bodies_are_divided_over_several_batches(package: Package) -> None:
    rows = [{"weight_kg": 1.0, "length_cm": 100.0, "speed": "normal"}] * 900
    body = json.dumps({"rows": rows}, indent=4).encode()

    async def scenario() -> None:
        pipeline = GatedPipeline(Bench(package))
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(pipeline, executor)
            calls = [make_call(("batch", body)) for _ in range(7)]
            tasks = [asyncio.create_task(batcher.answer(call)) for call in calls]
            await until(lambda: pipeline.endpoint.in_flight == 7)
            pipeline.gate.set()
            await asyncio.gather(*tasks)
        assert sum(pipeline.sizes) == 7
        assert max(pipeline.sizes) * len(body) <= max(BATCH_BYTES, len(body))

    asyncio.run(scenario())


def test_a_caller_who_leaves_is_not_run(package: Package) -> None:
    async def scenario() -> None:
        pipeline = GatedPipeline(Bench(package))
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(pipeline, executor)
            running = asyncio.create_task(batcher.answer(call_for(1)))
            await asyncio.sleep(0)
            leaver, stayer = call_for(2), call_for(3)
            leaving = asyncio.create_task(batcher.answer(leaver))
            staying = asyncio.create_task(batcher.answer(stayer))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            pipeline.gate.set()
            await asyncio.gather(running, staying)
        assert leaver.payload is None
        assert json.loads(stayer.payload or b"")["prediction"] == 6.0
        assert pipeline.sizes == [1, 1]

    asyncio.run(scenario())


def test_more_calls_than_the_concurrency_limit_are_shed(package: Package) -> None:
    service = Service(name="parcels", input=Parcel, task=Regression("EUR"), limits=Limits(concurrency=2))

    async def scenario() -> None:
        pipeline = GatedPipeline(Bench(package, service=service))
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(pipeline, executor)
            kept = [asyncio.create_task(batcher.answer(call_for(n))) for n in (1, 2)]
            await asyncio.sleep(0)
            shed = call_for(3)
            await batcher.answer(shed)
            assert isinstance(shed.error, Overloaded)
            assert shed.payload
            pipeline.gate.set()
            await asyncio.gather(*kept)

    asyncio.run(scenario())

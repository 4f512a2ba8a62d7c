"""Heavy models leave the event loop; deadlines, overload and clients that leave are answered for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rookery.package.contract import contract_from_manifest
from rookery.package.opener import Package, open_package
from rookery.pipeline.call import Call
from rookery.pipeline.endpoint import Endpoint, LoadedVersion
from rookery.serving.app import build_app
from rookery.serving.mount import Mount
from rookery.settings import Settings
from rookery.telemetry.accumulator import WorkerMetrics
from tests.serving.conftest import PENGUIN, Client, serving
from tests.serving.test_bodies import Wire, post

BODY = json.dumps(PENGUIN).encode()


@pytest.fixture(scope="module")
def heavy(heavy_package: Path) -> Package:
    return open_package(heavy_package)


def mount_of(package: Package, executor: ThreadPoolExecutor, **limits: Any) -> Mount:
    contract = contract_from_manifest(package.manifest)
    contract = replace(contract, limits=replace(contract.limits, **limits))
    metrics = WorkerMetrics("mount")
    mount = Mount(Endpoint(contract), metrics=metrics, executor=executor)
    version = LoadedVersion(package, "1", series=metrics.series(contract.name, "1"))
    mount.install({"1": version}, champion="1", weights={"1": 100}, aliases={})
    return mount


def answer(mount: Mount, calls: Sequence[Call]) -> None:
    async def run() -> None:
        await asyncio.gather(*(mount.answer(call) for call in calls))

    asyncio.run(run())


def call(body: bytes = BODY) -> Call:
    return Call("single", body, time.perf_counter())


class Held:
    """Keeps the only thread busy until it is let go."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.release = threading.Event()
        executor.submit(self.release.wait, 60)


def test_a_heavy_model_is_recognised_and_answers(heavy_package: Path) -> None:
    client, assembly = serving(Settings(package=heavy_package))
    assert assembly.mounts[0].is_light is False
    assert client.predict().status_code == 200


def test_heavy_calls_that_wait_share_a_run_and_get_their_own_answers(
    heavy: Package, executor: ThreadPoolExecutor
) -> None:
    mount = mount_of(heavy, executor)
    calls = [call(json.dumps({**PENGUIN, "mass_g": 3000.0 + 100 * n}).encode()) for n in range(20)]
    answer(mount, calls)
    assert [one.status for one in calls] == [200] * 20
    alone = [call(one.body) for one in calls]
    for one in alone:
        answer(mount, [one])
    confidences = [json.loads(one.payload or b"")["confidence"] for one in calls]
    assert confidences == [json.loads(one.payload or b"")["confidence"] for one in alone]


def test_a_deadline_is_504_while_the_thread_is_busy(heavy: Package, executor: ThreadPoolExecutor) -> None:
    mount = mount_of(heavy, executor, deadline_seconds=0.05)
    held = Held(executor)
    late = call()
    answer(mount, [late])
    held.release.set()
    assert late.status == 504
    assert b"0.05 s" in (late.payload or b"")


def test_a_run_that_ends_after_the_deadline_changes_nothing(heavy: Package, executor: ThreadPoolExecutor) -> None:
    """The answer stays 504 and is counted as such, once, when the run ends."""
    mount = mount_of(heavy, executor, deadline_seconds=0.5)
    held = Held(executor)
    series = mount.endpoint.versions["1"].series

    async def run() -> Call:
        late = call()
        await mount.answer(late)
        assert late.status == 504
        held.release.set()
        await until(lambda: series.requests > 0)
        return late

    assert asyncio.run(run()).status == 504
    counted = {labels[2]: count for name, labels, count in series.counters() if name == "rookery_requests_total"}
    assert counted == {"504": 1}


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition holds; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_more_calls_than_allowed_are_503_at_once(heavy: Package, executor: ThreadPoolExecutor) -> None:
    mount = mount_of(heavy, executor, concurrency=3, deadline_seconds=0.2)
    held = Held(executor)
    calls = [call() for _ in range(5)]
    answer(mount, calls)
    held.release.set()
    assert sorted(one.status for one in calls) == [503, 503, 504, 504, 504]


def test_overload_tells_when_to_come_again(heavy: Package, executor: ThreadPoolExecutor) -> None:
    mount = mount_of(heavy, executor, concurrency=1, deadline_seconds=0.2)
    held = Held(executor)
    client = Client(build_app([mount], settings=Settings(), metrics=WorkerMetrics("app")))
    answers = client.ask_together([("POST", "/predict", {"json": PENGUIN})] * 3)
    held.release.set()
    shed = [one for one in answers if one.status_code == 503]
    assert len(shed) == 2
    assert all(one.headers["retry-after"] == "1" for one in shed)


def test_a_client_that_leaves_while_it_waits_is_not_answered(heavy: Package, executor: ThreadPoolExecutor) -> None:
    mount = mount_of(heavy, executor)
    held = Held(executor)
    app = build_app([mount], settings=Settings(), metrics=WorkerMetrics("app"))

    class Leaving(Wire):
        async def receive(self) -> dict[str, Any]:
            if self.received:
                return {"type": "http.disconnect"}
            return await super().receive()

    wire = post(app, Leaving([BODY]))
    held.release.set()
    assert wire.sent == []
    assert mount.open_requests == mount.endpoint.in_flight == 0


def test_a_large_batch_of_a_light_model_leaves_the_event_loop(
    penguin_package: Path, executor: ThreadPoolExecutor
) -> None:
    mount = mount_of(open_package(penguin_package), executor, deadline_seconds=0.05)
    held = Held(executor)
    small = Call("batch", json.dumps({"rows": [PENGUIN] * 3}).encode(), time.perf_counter())
    large = Call("batch", json.dumps({"rows": [PENGUIN] * 1000}).encode(), time.perf_counter())
    answer(mount, [small, large])
    held.release.set()
    assert (small.status, large.status) == (200, 504)

"""What the application's door adds to the heavy path: headers, deadlines, room for bodies, threads that step back."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from rookery.errors import Overloaded
from rookery.package.opener import open_package
from rookery.serving.app import build_app
from rookery.serving.assemble import INFERENCE_NICENESS, lower_priority
from rookery.serving.bodies import HeldBodies
from rookery.settings import Settings
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.metrics import CACHE_REQUESTS, PREDICTION_DURATION
from tests.serving.conftest import PENGUIN, SERVICE_CODE, Client, Workshop, serving
from tests.serving.test_bodies import Wire, post
from tests.serving.test_mount import BODY, answer, call, mount_of

CACHED_CODE = SERVICE_CODE.replace("input=Penguin,", "input=Penguin, cache=Cache(enabled=True),").replace(
    "from rookery.service.task", "from rookery.service.policies import Cache\nfrom rookery.service.task"
)


# Caches of tables


@pytest.mark.parametrize("is_heavy", [False, True], ids=["light", "heavy"])
def test_a_table_with_a_cache_answers_from_it(workshop: Workshop, heavy_package: Path, is_heavy: bool) -> None:
    """Each answer has an id of its own all the same."""
    workshop.write_service("cached", CACHED_CODE)
    more: dict[str, Any] = {"model": onnx.load(heavy_package / "model.onnx")} if is_heavy else {}
    workshop.set_traffic("cached", {"1": workshop.add_package("cached", **more)})
    client, assembly = serving(workshop.settings, "cached")
    other = {**PENGUIN, "mass_g": 5000.0}
    batch = {"rows": [PENGUIN, other]}
    asked = [("/predict", PENGUIN), ("/predict", PENGUIN), ("/predict", other), ("/predict/batch", batch)]
    replies = [client.predict(body, path=path) for path, body in [*asked, asked[-1]]]
    assert [reply.status_code for reply in replies] == [200] * 5
    assert [reply.headers["x-cache"] for reply in replies] == ["miss", "hit", "miss", "miss", "hit"]
    assert replies[0].json() == replies[1].json()
    assert (
        replies[3].json()["predictions"]
        == replies[4].json()["predictions"]
        == [
            replies[0].json(),
            replies[2].json(),
        ]
    )
    assert len({reply.headers["x-request-id"] for reply in replies}) == 5
    assert assembly.lane_routes == {}, "the lane asks no cache"
    snapshot = assembly.watcher._metrics.snapshot()
    counted = {labels[1]: value for name, labels, value in snapshot.counters if name == CACHE_REQUESTS.name}
    assert counted == {"hit": 2, "redis": 0, "shared": 0, "miss": 3}
    (runs,) = [sum(value.counts) for name, _, value in snapshot.histograms if name == PREDICTION_DURATION.name]
    assert runs == 3


def test_identical_requests_at_once_are_computed_once(workshop: Workshop) -> None:
    workshop.write_service("cached", CACHED_CODE)
    workshop.set_traffic("cached", {"1": workshop.add_package("cached")})
    client, _ = serving(workshop.settings, "cached")
    replies = client.ask_together([("POST", "/predict", {"json": PENGUIN})] * 20)
    assert sorted(reply.headers["x-cache"] for reply in replies) == ["miss"] + ["shared"] * 19


def test_errors_say_nothing_of_a_cache(workshop: Workshop) -> None:
    workshop.write_service("cached", CACHED_CODE)
    workshop.set_traffic("cached", {"1": workshop.add_package("cached")})
    client, _ = serving(workshop.settings, "cached")
    refused = client.predict({**PENGUIN, "mass_g": 1})
    assert refused.status_code == 422
    assert "x-cache" not in refused.headers


def test_without_a_cache_nothing_is_said_of_one(client: Client, heavy_package: Path) -> None:
    assert "x-cache" not in client.predict().headers
    assert "x-cache" not in serving(Settings(package=heavy_package))[0].predict().headers


# Deadlines


def test_a_deadline_during_a_run_is_answered_and_counted_once_with_its_id(
    heavy_package: Path, executor: ThreadPoolExecutor
) -> None:
    mount = mount_of(open_package(heavy_package), executor, deadline_seconds=0.2)
    began, release = threading.Event(), threading.Event()

    class Slow:
        def run(self, matrix: Any) -> Any:
            began.set()
            assert release.wait(30)
            return matrix[:, :3] * 0 + 1 / 3

    version = mount.endpoint.versions["1"]
    version.package = replace(version.package, session=Slow())  # type: ignore[arg-type]
    series = version.series

    async def run() -> None:
        late = call()
        await mount.answer(late)
        assert began.is_set()
        payload = late.payload
        assert (late.status, len(late.request_id), series.requests) == (504, 36, 1)
        release.set()
        sound = call()
        await mount.answer(sound)
        assert sound.status == 200
        assert (late.status, late.payload, series.requests) == (504, payload, 2)
        assert mount.endpoint.in_flight == 0

    asyncio.run(run())


def test_a_call_that_is_late_before_it_begins_is_504_and_counted_once(
    heavy_package: Path, executor: ThreadPoolExecutor
) -> None:
    mount = mount_of(open_package(heavy_package), executor, deadline_seconds=1.0)
    late = call()
    late.received -= 5
    answer(mount, [late])
    assert (late.status, len(late.request_id)) == (504, 36)
    assert mount.endpoint.versions["1"].series.requests + mount._pipeline._observe._unversioned.requests == 1


# Room for bodies


def test_bodies_take_room_while_they_are_here() -> None:
    held = HeldBodies("penguins", 100)
    with held.hold() as first, held.hold() as second:
        first(60)
        second(40)
        with pytest.raises(Overloaded, match="100 bytes"):
            second(1)
        assert held.bytes == 100
    assert held.bytes == 0


def test_a_body_that_has_no_room_is_503_and_tells_when_to_come_again(
    heavy_package: Path, executor: ThreadPoolExecutor
) -> None:
    mount = mount_of(open_package(heavy_package), executor)
    client = Client(build_app([mount], settings=Settings(), metrics=WorkerMetrics("app")))
    with mount.bodies.hold() as take:
        take(mount.bodies.limit - 10)
        refused = client.predict()
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
    assert client.predict().status_code == 200
    assert mount.bodies.bytes == 0


def test_a_promised_body_takes_no_room_and_one_that_is_broken_off_gives_it_back(
    heavy_package: Path, executor: ThreadPoolExecutor
) -> None:
    mount = mount_of(open_package(heavy_package), executor)
    app = build_app([mount], settings=Settings(), metrics=WorkerMetrics("app"))
    seen: list[int] = []

    class Leaving(Wire):
        async def receive(self) -> dict[str, Any]:
            seen.append(mount.bodies.bytes)
            if len(seen) > 1:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": BODY[:10], "more_body": True}

    post(app, Leaving([BODY]), "/predict", (b"content-length", b"1900000"))
    assert seen == [0, 10]
    assert mount.bodies.bytes == mount.open_requests == 0


# Threads


@pytest.fixture
def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is the process's")
def test_threads_that_infer_step_back_and_the_event_loop_does_not(niceness: int) -> None:
    def read() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with ThreadPoolExecutor(2, initializer=lower_priority) as executor:
        barrier = threading.Barrier(2)
        found = list(executor.map(lambda _: (barrier.wait(10), read())[1], range(2)))
    assert found == [min(19, niceness + INFERENCE_NICENESS)] * 2
    assert read() == niceness
    assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == niceness


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is the process's")
def test_a_worker_s_own_threads_step_back(heavy_package: Path) -> None:
    """Those that really answer: found by name in the process."""
    client, _ = serving(Settings(package=heavy_package))
    before = set(threading.enumerate())
    assert client.predict().status_code == 200
    infer = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("infer")]
    assert infer
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    for thread in infer:
        assert thread.native_id is not None
        assert os.getpriority(os.PRIO_PROCESS, thread.native_id) == min(19, mine + INFERENCE_NICENESS)


def test_a_worker_whose_threads_have_ended_answers_503(heavy_package: Path) -> None:
    ended = ThreadPoolExecutor(1)
    mount = mount_of(open_package(heavy_package), ended)
    ended.shutdown()
    client = Client(build_app([mount], settings=Settings(), metrics=WorkerMetrics("app")))
    begin = time.monotonic()
    reply = client.predict()
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "1"
    assert time.monotonic() - begin < 5

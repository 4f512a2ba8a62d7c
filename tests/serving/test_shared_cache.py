"""Answers shared through a real Redis by two servers, and what becomes of them when Redis dies under them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rookery.testing.forms import encode_form
from tests.servers import PATIENCE, Reply, ServerProcess, find_free_port
from tests.services.pictures import lively

pytestmark = [
    pytest.mark.xdist_group("pictures"),
    pytest.mark.skipif(
        not os.environ.get("ROOKERY_TEST_REDIS_URL") or shutil.which("redis-server") is None,
        reason="ROOKERY_TEST_REDIS_URL is not set, or redis-server is not installed",
    ),
]

SERVICES = str(Path(__file__).resolve().parents[2] / "services")


class Redis:
    """A Redis of this test alone, which may be killed."""

    def __init__(self, folder: Path) -> None:
        self.port = find_free_port()
        self._command = [
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        self.process = self._start()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    started = Redis(tmp_path)
    yield started
    started.kill()


@pytest.fixture
def pair(redis: Redis, picture_home: Path, servers: ServerProcess.Factory) -> tuple[ServerProcess, ServerProcess]:
    """Two servers with the same Redis."""
    first, second = (
        servers.serve("features", home=picture_home, services_folder=SERVICES, workers="1", redis_url=redis.url)
        for _ in range(2)
    )
    return first, second


def ask(server: ServerProcess, number: int) -> Reply:
    body, kind = encode_form("image", [("x.png", lively(number, width=90, height=60))])
    return server.request("POST", "/predict", body, headers={"Content-Type": kind})


def metric(server: ServerProcess, name: str, labels: str = "") -> float:
    """Return a metric's value; 0 while it is not shown. Snapshots are a second old at most."""
    text = server.request("GET", "/metrics").body.decode()
    found = re.search(rf"^{name}{{?{re.escape(labels)}[^}}\n]*}}? ([\d.e+]+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def until(server: ServerProcess, name: str, labels: str, expected: float) -> None:
    deadline = time.monotonic() + PATIENCE
    while (seen := metric(server, name, labels)) != expected:
        assert time.monotonic() < deadline, f"{name} is {seen}, not {expected}"
        time.sleep(0.1)


def test_what_one_server_computed_another_one_knows(pair: tuple[ServerProcess, ServerProcess]) -> None:
    first, second = pair
    computed = ask(first, 1)
    assert computed.headers["x-cache"] == "miss"
    deadline = time.monotonic() + PATIENCE
    while (known := ask(second, 1)).headers["x-cache"] != "hit":  # written behind the answer
        assert time.monotonic() < deadline
    assert known.json()["cached"] is True
    assert known.json()["keypoints"] == computed.json()["keypoints"]
    until(first, "rookery_cache_requests_total", 'service="features",result="miss"', 1)


def test_a_dead_redis_is_no_error_and_comes_back(pair: tuple[ServerProcess, ServerProcess], redis: Redis) -> None:
    server, _ = pair
    assert ask(server, 1).status == 200
    until(server, "rookery_cache_up", "", 1)
    redis.kill()
    replies = [ask(server, number) for number in range(2, 14)]
    assert {reply.status for reply in replies} == {200}
    assert {reply.headers["x-cache"] for reply in replies} == {"miss"}
    assert ask(server, 3).headers["x-cache"] == "hit"
    until(server, "rookery_cache_up", "", 0)
    assert metric(server, "rookery_cache_errors_total", 'service="features"') > 0
    redis.start_again()
    deadline = time.monotonic() + PATIENCE
    number = 100
    while metric(server, "rookery_cache_up") != 1:
        assert time.monotonic() < deadline
        number += 1
        assert ask(server, number).status == 200
        time.sleep(0.2)


def test_rubbish_in_redis_is_a_miss(pair: tuple[ServerProcess, ServerProcess], redis: Redis) -> None:
    import redis as driver

    first, second = pair
    answer = ask(first, 5).json()
    client: Any = driver.Redis(port=redis.port)
    deadline = time.monotonic() + PATIENCE
    while not (keys := client.keys("rookery:cache:*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for key in keys:
        value = bytearray(client.get(key))
        value[-10] ^= 1
        client.set(key, bytes(value))
    spoiled = ask(second, 5)
    assert spoiled.headers["x-cache"] == "miss"
    assert spoiled.json()["keypoints"] == answer["keypoints"]
    client.close()

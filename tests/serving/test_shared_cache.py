"""Answers shared through a real Redis by two servers, and what becomes of them when Redis dies under them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rookery.testing.forms import encode_form
from tests.servers import PATIENCE, Reply, ServerProcess
from tests.services.pictures import lively
from tests.serving.redis_server import Redis, metric, until

pytestmark = [
    pytest.mark.xdist_group("pictures"),
    pytest.mark.skipif(
        not os.environ.get("ROOKERY_TEST_REDIS_URL") or shutil.which("redis-server") is None,
        reason="ROOKERY_TEST_REDIS_URL is not set, or redis-server is not installed",
    ),
]

SERVICES = str(Path(__file__).resolve().parents[2] / "services")


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


def ask(server: ServerProcess, number: int, *, side: int = 90) -> Reply:
    body, kind = encode_form("image", [("x.png", lively(number, width=side, height=60))])
    return server.request("POST", "/predict", body, headers={"Content-Type": kind})


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


def ask_many(server: ServerProcess, numbers: range) -> list[float]:
    """Ask for different pictures that nobody has asked for; returns how long each took."""
    seconds = []
    for number in numbers:
        begin = time.perf_counter()
        reply = ask(server, number)
        seconds.append(time.perf_counter() - begin)
        assert (reply.status, reply.headers["x-cache"]) == (200, "miss")
    return sorted(seconds)


TIMEOUT = 0.05
SLACK = 0.1
"""What a busy machine may add to the middle one of twenty requests."""


def test_a_redis_that_never_answers_costs_its_timeout_and_is_left_alone(
    picture_home: Path, servers: ServerProcess.Factory
) -> None:
    """A black hole: connections are taken and nothing ever comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as hole:
        url = f"redis://127.0.0.1:{hole.getsockname()[1]}/0"
        plain, holed = (
            servers.serve("features", home=picture_home, services_folder=SERVICES, workers="1", threads="1", **more)
            for more in ({}, {"redis_url": url})
        )
        usual, held_up = ask_many(plain, range(20)), ask_many(holed, range(20))
        assert held_up[-1] < usual[-1] + TIMEOUT + 5 * SLACK
        assert held_up[10] < usual[10] + TIMEOUT + SLACK
        until(holed, "rookery_cache_up", "", 0)
        # With the breaker open a look-up costs nothing; a probe may be among these.
        assert ask_many(holed, range(100, 120))[10] < usual[10] + SLACK
        assert metric(holed, "rookery_cache_errors_total", 'service="features"') >= 5


def test_a_redis_that_stops_for_a_while_is_no_error_and_comes_back(
    pair: tuple[ServerProcess, ServerProcess], redis: Redis
) -> None:
    """It holds its connections open and answers none of them."""
    server, _ = pair
    usual = ask_many(server, range(20))
    redis.process.send_signal(signal.SIGSTOP)
    paused = ask_many(server, range(100, 120))
    assert paused[10] < usual[10] + TIMEOUT + SLACK
    until(server, "rookery_cache_up", "", 0)
    redis.process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + PATIENCE
    number = 200
    while metric(server, "rookery_cache_up") != 1:
        assert time.monotonic() < deadline
        number += 1
        assert ask(server, number).status == 200
        time.sleep(0.2)


RUBBISH = (b"", b"x", b"\x80\x04\x95pickle", b"RKC\x01" + bytes(64), bytes(3_000_000))


def test_whatever_lies_under_our_keys_is_a_miss(pair: tuple[ServerProcess, ServerProcess], redis: Redis) -> None:
    """A flipped bit, half a value, a list, or what others write; Redis itself is well, so the breaker stays closed."""
    import redis as driver

    first, second = pair
    answers = [ask(first, number).json()["keypoints"] for number in range(8)]
    client: Any = driver.Redis(port=redis.port)
    deadline = time.monotonic() + PATIENCE
    while len(keys := client.keys("rookery:cache:*")) < 8:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    values = [client.get(key) for key in keys]
    client.delete(*keys)
    flipped = values[5][:-10] + bytes([values[5][-10] ^ 1]) + values[5][-9:]
    for key, rubbish in zip(keys, (*RUBBISH, flipped, values[6][: len(values[6]) // 2]), strict=False):
        client.set(key, rubbish)
    client.rpush(keys[7], b"1", b"2")
    replies = [ask(second, number) for number in range(8)]
    assert {(reply.status, reply.headers["x-cache"]) for reply in replies} == {(200, "miss")}
    assert [reply.json()["keypoints"] for reply in replies] == answers
    until(second, "rookery_cache_up", "", 1)
    until(second, "rookery_cache_errors_total", 'service="features"', 7)  # an empty value is as good as none
    client.close()


def test_identical_requests_at_once_are_computed_once(
    picture_home: Path, servers: ServerProcess.Factory, redis: Redis
) -> None:
    """By the metrics as by the headers, while others are asked for beside them."""
    server = servers.serve(
        "features", home=picture_home, services_folder=SERVICES, workers="1", threads="1", redis_url=redis.url
    )
    with ThreadPoolExecutor(32) as threads:
        replies = list(threads.map(lambda n: ask(server, n % 4, side=800), range(64)))
    assert {reply.status for reply in replies} == {200}
    told = Counter(reply.headers["x-cache"] for reply in replies)
    assert told["miss"] == 4
    assert told.total() == told["miss"] + told["shared"] + told["hit"] == 64
    assert all(reply.json()["cached"] == (reply.headers["x-cache"] == "hit") for reply in replies)
    for n in range(4):
        assert len({str(reply.json()["keypoints"]) for reply in replies[n::4]}) == 1
    until(server, "rookery_cache_requests_total", 'service="features",result="miss"', 4)
    until(server, "rookery_cache_requests_total", 'service="features",result="shared"', told["shared"])
    until(server, "rookery_cache_requests_total", 'service="features",result="hit"', told["hit"])
    until(server, "rookery_batch_rows_count", 'service="features"', 4)


def test_every_worker_of_a_server_knows_what_one_computed(
    picture_home: Path, servers: ServerProcess.Factory, redis: Redis
) -> None:
    import redis as driver

    server = servers.serve("features", home=picture_home, services_folder=SERVICES, workers="2", redis_url=redis.url)
    assert ask(server, 1).headers["x-cache"] == "miss"
    client: Any = driver.Redis(port=redis.port)
    deadline = time.monotonic() + PATIENCE
    while not client.keys("rookery:cache:*"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    client.close()
    # Connections go to either worker; the second one has to look into Redis for its first.
    while metric(server, "rookery_cache_requests_total", 'service="features",result="redis"') < 1:
        assert time.monotonic() < deadline
        assert {ask(server, 1).headers["x-cache"] for _ in range(10)} == {"hit"}
    assert metric(server, "rookery_cache_requests_total", 'service="features",result="miss"') == 1

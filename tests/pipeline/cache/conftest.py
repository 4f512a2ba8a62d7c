"""A real Redis for those who have one, keys of each test's own, and both event loops."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from rookery.pipeline.cache.key import NAMESPACE, cache_key

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a scenario in an event loop: the standard one, and the one that workers use."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_to_the_end(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(scenario)

    return run_to_the_end


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The address of a Redis that tests may write to; others may use it too."""
    url = os.environ.get("ROOKERY_TEST_REDIS_URL", "")
    if not url:
        pytest.skip("ROOKERY_TEST_REDIS_URL is not set")
    return url


@pytest.fixture
def redis(redis_url: str) -> Iterator[Any]:
    """A plain client, to look behind the store's back and to poison what is there."""
    from redis import Redis

    client = Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture
def key_of(redis: Any) -> Iterator[Callable[[str], bytes]]:
    """Make keys that no other test has; what is stored under them goes with the test."""
    service = f"test-{uuid.uuid4().hex[:16]}"
    yield lambda name: cache_key(service, "0" * 64, name.encode(), b"")
    left = list(redis.scan_iter(match=f"{NAMESPACE}:{service}:*", count=1000))
    if left:
        redis.delete(*left)

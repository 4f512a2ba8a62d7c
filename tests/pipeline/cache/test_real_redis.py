"""A real Redis shares entries; one that is poisoned, cut off or full of giants is a miss."""

from __future__ import annotations

import asyncio
import pickle
import uuid
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rookery.pipeline.cache.breaker import Breaker
from rookery.pipeline.cache.entry import HEADER, Entry, encode_entry
from tests.pipeline.cache.conftest import Run
from tests.pipeline.cache.stores import ENTRY, opened, until

KeyOf = Callable[[str], bytes]


def test_what_one_store_puts_another_gets_until_it_expires(run: Run, redis_url: str, redis: Any, key_of: KeyOf) -> None:
    async def scenario() -> None:
        key = key_of("a")
        async with opened(redis_url, ttl_seconds=0.5) as one, opened(redis_url) as other:
            assert await other.get(key) is None
            await one.put(key, ENTRY)
            await until(lambda: redis.exists(key))
            assert 0 < redis.pttl(key) <= 500
            assert await other.get(key) == ENTRY
            await until(lambda: not redis.exists(key))
            assert await other.get(key) is None
            assert one.counts.errors == other.counts.errors == 0

    run(scenario())


def test_a_url_that_asks_for_texts_still_gets_bytes(run: Run, redis_url: str, redis: Any, key_of: KeyOf) -> None:
    async def scenario() -> None:
        key = key_of("a")
        redis.set(key, encode_entry(key, ENTRY) or b"")
        async with opened(redis_url + "?decode_responses=yes&encoding=latin-1&protocol=3", timeout=5) as store:
            assert await store.get(key) == ENTRY

    run(scenario())


def test_many_look_ups_at_once_each_get_their_own(run: Run, redis_url: str, redis: Any, key_of: KeyOf) -> None:
    async def scenario() -> None:
        entries = {key_of(str(number)): Entry({"n": b"%d" % number}) for number in range(200)}
        redis.mset({key: encode_entry(key, entry) for key, entry in entries.items()})
        async with opened(redis_url, timeout=5) as store:
            found = await asyncio.gather(*(store.get(key) for key in entries))
            assert found == list(entries.values())

    run(scenario())


def test_answers_are_not_swapped_by_time_outs_in_between(run: Run, redis_url: str, redis: Any, key_of: KeyOf) -> None:
    """With a time-out about as long as Redis takes, a look-up gives its own entry or nothing."""

    async def scenario() -> None:
        entries = {key_of(str(number)): Entry({"n": b"%d" % number + b" " * 50_000}) for number in range(50)}
        redis.mset({key: encode_entry(key, entry) for key, entry in entries.items()})
        async with opened(redis_url, timeout=0.004, breaker=Breaker(failures=10**6)) as store:
            for _ in range(10):
                for entry, found in zip(
                    entries.values(), await asyncio.gather(*(store.get(key) for key in entries)), strict=True
                ):
                    assert found is None or found == entry

    run(scenario())


def test_poisoned_values_of_every_type_are_misses_and_can_be_overwritten(
    run: Run, redis_url: str, redis: Any, key_of: KeyOf
) -> None:
    key = key_of("poisoned")
    good = encode_entry(key, ENTRY) or b""
    poisons: dict[str, Callable[[], object]] = {
        "list": lambda: redis.rpush(key, good),
        "hash": lambda: redis.hset(key, "a", good),
        "set": lambda: redis.sadd(key, good),
        "sorted set": lambda: redis.zadd(key, {good: 1}),
        "stream": lambda: redis.xadd(key, {"a": good}),
        "number": lambda: redis.set(key, 7),
        "pickle": lambda: redis.set(key, pickle.dumps(ENTRY.parts)),
        "header": lambda: redis.set(key, HEADER),
        "half": lambda: redis.set(key, good[: len(good) // 2]),
        "more": lambda: redis.set(key, good + b"\0"),
        "another key's": lambda: redis.set(key, encode_entry(key_of("other"), ENTRY) or b""),
    }

    async def scenario() -> None:
        async with opened(redis_url, timeout=5, breaker=Breaker(failures=1)) as store:
            for number, (name, poison) in enumerate(poisons.items(), 1):
                redis.delete(key)
                poison()
                assert await store.get(key) is None, name
                assert store.counts.errors == number, name
                assert store.up, name
                await store.put(key, ENTRY)
                await until(lambda: redis.type(key) == b"string" and redis.get(key) == good)
                assert await store.get(key) == ENTRY, name

    run(scenario())


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=2_000))
def test_random_bytes_in_redis_are_misses(redis_url: str, redis: Any, key_of: KeyOf, rubbish: bytes) -> None:
    key = key_of("random")
    redis.set(key, rubbish)

    async def scenario() -> None:
        async with opened(redis_url, timeout=5) as store:
            assert await store.get(key) is None
            assert store.counts.errors == 1

    asyncio.run(scenario())


def test_a_giant_value_is_not_loaded(run: Run, redis_url: str, redis: Any, key_of: KeyOf) -> None:
    """Of a value of 60 MB, no more crosses the wire than the store's limit and a byte."""

    async def scenario() -> None:
        key = key_of("giant")
        redis.setrange(key, 60_000_000, b"x")
        name = f"giant-{uuid.uuid4().hex}"
        async with opened(f"{redis_url}?client_name={name}", timeout=5, max_value_bytes=1_000) as store:
            received = 0
            feed = asyncio.StreamReader.feed_data

            def count(reader: asyncio.StreamReader, data: bytes) -> None:
                nonlocal received
                received += len(data)
                feed(reader, data)

            asyncio.StreamReader.feed_data = count  # type: ignore[method-assign, assignment]
            try:
                assert await store.get(key) is None
            finally:
                asyncio.StreamReader.feed_data = feed  # type: ignore[method-assign]
            assert 1_000 < received < 2_000
            assert store.counts.errors == 1
            assert store.up

    run(scenario())


def test_an_entry_that_is_too_large_is_not_sent(run: Run, redis_url: str, redis: Any, key_of: KeyOf) -> None:
    async def scenario() -> None:
        async with opened(redis_url, max_value_bytes=1_000) as store:
            await store.put(key_of("large"), Entry({"a": b"1" * 1_001}))
            await store.put(key_of("small"), Entry({"a": b"1"}))
            await until(lambda: redis.exists(key_of("small")))
            assert not redis.exists(key_of("large"))
            assert store.counts.errors == 0

    run(scenario())


def test_a_connection_that_redis_ends_is_replaced_without_an_error(
    run: Run, redis_url: str, redis: Any, key_of: KeyOf
) -> None:
    name = f"killed-{uuid.uuid4().hex}"

    async def scenario() -> None:
        key = key_of("a")
        redis.set(key, encode_entry(key, ENTRY) or b"")
        async with opened(f"{redis_url}?client_name={name}", timeout=5) as store:
            assert await store.get(key) == ENTRY
            (client,) = [client for client in redis.client_list() if client["name"] == name]
            redis.client_kill_filter(_id=client["id"])
            await asyncio.sleep(0.05)
            assert await store.get(key) == ENTRY
            assert store.counts.errors == 0

    run(scenario())


def test_connections_killed_under_load_cost_misses_and_nothing_else(
    run: Run, redis_url: str, redis: Any, key_of: KeyOf
) -> None:
    name = f"killed-{uuid.uuid4().hex}"

    async def scenario() -> None:
        entries = {key_of(str(number)): Entry({"n": b"%d" % number}) for number in range(50)}
        redis.mset({key: encode_entry(key, entry) for key, entry in entries.items()})

        def kill_all() -> None:
            for client in redis.client_list():
                if client["name"] == name:
                    redis.client_kill_filter(_id=client["id"])

        async with opened(f"{redis_url}?client_name={name}", timeout=5, breaker=Breaker(failures=10**6)) as store:
            for _ in range(10):
                looking = asyncio.gather(*(store.get(key) for key in entries))
                await asyncio.get_running_loop().run_in_executor(None, kill_all)
                for entry, found in zip(entries.values(), await looking, strict=True):
                    assert found is None or found == entry
            assert await asyncio.gather(*(store.get(key) for key in entries)) == list(entries.values())

    run(scenario())


def test_a_wrong_password_is_a_miss(run: Run, redis_url: str) -> None:
    async def scenario() -> None:
        async with opened(redis_url.replace("redis://", "redis://nobody:wrong@")) as store:
            assert await store.get(b"key") is None
            assert store.counts.errors == 1

    run(scenario())


def test_a_user_who_may_do_little_else_is_enough(run: Run, redis_url: str, redis: Any, key_of: KeyOf) -> None:
    """The permissions that the settings' page names are all that is needed."""
    name = f"test-{uuid.uuid4().hex}"
    permissions = {"commands": ["+getrange", "+set"], "keys": ["rookery:cache:*"], "passwords": ["+secret"]}
    redis.acl_setuser(name, enabled=True, **permissions)

    async def scenario() -> None:
        url = redis_url.replace("redis://", f"redis://{name}:secret@")
        async with opened(url, timeout=5) as store:
            await store.put(key_of("a"), ENTRY)
            await until(lambda: redis.exists(key_of("a")))
            assert await store.get(key_of("a")) == ENTRY
            assert store.counts.errors == 0

    try:
        run(scenario())
    finally:
        redis.acl_deluser(name)


def test_the_number_of_connections_is_bounded(run: Run, redis_url: str, redis: Any, key_of: KeyOf) -> None:
    name = f"bounded-{uuid.uuid4().hex}"

    async def scenario() -> None:
        async with opened(f"{redis_url}?client_name={name}", timeout=5, connections=3) as store:
            for _ in range(5):
                await asyncio.gather(*(store.get(key_of("a")) for _ in range(100)))
            assert sum(client["name"] == name for client in redis.client_list()) <= 3
        await asyncio.sleep(0.05)
        assert not any(client["name"] == name for client in redis.client_list())

    run(scenario())

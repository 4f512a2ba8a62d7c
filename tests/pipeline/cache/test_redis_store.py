"""Redis slow, down, full or poisoned is a miss, within the time-out, and never an error or another's answer."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time

import pytest

from rookery.errors import SettingError
from rookery.pipeline.cache.breaker import Breaker
from rookery.pipeline.cache.entry import Entry, encode_entry
from rookery.pipeline.cache.redis_store import WAITING_BYTES, WAITING_ENTRIES, RedisStore
from tests.pipeline.cache.conftest import Run
from tests.pipeline.cache.servers import (
    Behaviour,
    drip,
    flood,
    half_close,
    hang_up,
    listening,
    saying,
    swallow,
)
from tests.pipeline.cache.stores import ENTRY, PATIENCE, TIMEOUT, opened, timed, until

KEY = b"rookery:cache:1:test:00"

BAD_SERVERS: dict[str, Behaviour] = {
    "black hole": swallow,
    "hangs up": hang_up,
    "half-closed": half_close,
    "byte by byte": drip,
    "four gigabytes": flood,
    "a web server": saying(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "binary rubbish": saying(bytes(range(256)) * 50),
    "not bytes": saying(b":7\r\n"),
    "nothing": saying(b"$-1\r\n"),
    "a list": saying(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
    "a list without end": saying(b"*2147483647\r\n"),
    "lists in lists": saying(b"*1\r\n" * 10_000),
    "push messages": saying(b">2\r\n+message\r\n+x\r\n" * 5_000),
    "wrong password": saying(b"-WRONGPASS invalid username-password pair\r\n"),
    "needs a password": saying(b"-NOAUTH Authentication required.\r\n"),
    "no permission": saying(b"-NOPERM this user has no permissions\r\n"),
    "moved": saying(b"-MOVED 3999 127.0.0.1:6381\r\n"),
    "moved to rubbish": saying(b"-MOVED\r\n"),
    "loading": saying(b"-LOADING Redis is loading the dataset in memory\r\n"),
    "an error without text": saying(b"-\r\n"),
}


@pytest.mark.parametrize("name", BAD_SERVERS)
def test_what_is_no_well_redis_is_a_counted_miss_in_time_and_then_left_alone(name: str, run: Run) -> None:
    async def scenario() -> None:
        async with listening(BAD_SERVERS[name]) as url, opened(url, breaker=Breaker(failures=3, pause=600)) as store:
            await store.put(KEY, ENTRY)
            for _ in range(3):
                assert await timed(store.get(KEY)) < PATIENCE
            await until(lambda: not store.up)
            assert store.counts.errors >= 3
            errors = store.counts.errors
            begin = time.perf_counter()
            for _ in range(1_000):
                assert await store.get(KEY) is None
                await store.put(KEY, ENTRY)
            assert time.perf_counter() - begin < 1
            assert store.counts.errors == errors

    run(scenario())


def test_a_port_that_refuses_is_a_miss_and_opens_the_breaker(run: Run, free_port: int) -> None:
    async def scenario() -> None:
        async with opened(f"redis://127.0.0.1:{free_port}/0") as store:
            assert max([await timed(store.get(KEY)) for _ in range(5)]) < PATIENCE
            assert not store.up
            assert store.counts.errors == 5

    run(scenario())


def test_a_name_that_nobody_has_and_a_missing_socket_are_misses(run: Run) -> None:
    async def scenario() -> None:
        for url in ("redis://no-such-host.invalid:6379/0", "unix:///no/such/socket"):
            async with opened(url) as store:
                assert await timed(store.get(KEY)) < PATIENCE
                assert store.counts.errors == 1

    run(scenario())


def test_waiting_for_a_connection_is_part_of_the_time_out(run: Run) -> None:
    """Fifty look-ups share two connections that never answer: none waits for those before it."""

    async def scenario() -> None:
        async with (
            listening(swallow) as url,
            opened(url, connections=2, breaker=Breaker(failures=1_000)) as store,
        ):
            spans = await asyncio.gather(*(timed(store.get(KEY)) for _ in range(50)))
            assert max(spans) < PATIENCE
            assert store.counts.errors == 50

    run(scenario())


def test_a_redis_that_comes_back_is_found_by_one_probe(run: Run, free_port: int) -> None:
    now = [0.0]
    breaker = Breaker(failures=2, pause=1.0, clock=lambda: now[0], chance=lambda: 0.0)
    asked = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.read(65_536):
            asked += 1
            await asyncio.sleep(0.01)
            writer.write(b"$0\r\n\r\n")

    async def scenario() -> None:
        async with opened(f"redis://127.0.0.1:{free_port}/0", breaker=breaker) as store:
            await store.get(KEY)
            await store.get(KEY)
            assert not store.up
            async with listening(count, free_port):
                await asyncio.gather(*(store.get(KEY) for _ in range(20)))
                assert asked == 0
                now[0] = 1.0
                await asyncio.gather(*(store.get(KEY) for _ in range(20)))
                assert asked == 1
                assert store.up

    run(scenario())


def test_a_caller_that_gives_up_is_cancelled_and_leaves_nothing_behind(run: Run) -> None:
    """As many cancelled look-ups as there are connections, several times over: the next still gets one."""

    async def echo_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            await asyncio.sleep(0.02)
            writer.write(b"$0\r\n\r\n")

    async def scenario() -> None:
        async with (
            listening(echo_nothing) as url,
            opened(url, timeout=5, connections=2, breaker=Breaker(failures=1)) as store,
        ):
            for pause in (0, 0.001, 0.005, 0.01, 0.02):
                tasks = [asyncio.create_task(store.get(KEY)) for _ in range(6)]
                await asyncio.sleep(pause)
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
            assert await store.get(KEY) is None
            assert store.counts.errors == 0
            assert store.up

    run(scenario())


def test_what_waits_to_be_written_is_bounded_in_number_and_bytes_and_goes_with_the_store(run: Run) -> None:
    async def scenario() -> None:
        async with listening(swallow) as url, opened(url, timeout=5) as store:
            begin = time.perf_counter()
            for _ in range(10 * WAITING_ENTRIES):
                await store.put(KEY, ENTRY)
            assert time.perf_counter() - begin < 1
            assert len(store._waiting) == WAITING_ENTRIES
            await asyncio.sleep(0.05)
            big = Entry({"a": b"1" * 500_000})
            async with opened(url, timeout=5) as other:
                for _ in range(WAITING_ENTRIES):
                    await other.put(KEY, big)
                assert 0 < other._waiting_bytes <= WAITING_BYTES
                assert await timed(other.close()) < 1
            assert await timed(store.close()) < 1
            tasks = [task for task in asyncio.all_tasks() if "_write" in repr(task.get_coro())]
            assert tasks == []
            await store.put(KEY, ENTRY)
            assert await store.get(KEY) is None
            assert store.counts.errors == 0

    run(scenario())


@pytest.mark.parametrize(
    "url", ["redis://:geheim@host:port/0", "redis://:geheim@host/0?geheim=1", "http://:geheim@host/", "redis://[geheim"]
)
def test_a_url_that_cannot_be_used_is_said_at_start_without_its_password(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        RedisStore(url, ttl_seconds=1)
    assert "geheim" not in str(caught.value)


def test_settings_in_the_url_do_not_undo_the_stores_own(run: Run) -> None:
    """Nobody gets retries, endless time-outs or texts instead of bytes through a URL."""

    async def scenario() -> None:
        more = "?socket_timeout=100&socket_connect_timeout=100&retry_on_timeout=yes&decode_responses=yes&protocol=3"
        async with listening(swallow) as url, opened(url + more + "&max_connections=3") as store:
            assert await timed(store.get(KEY)) < PATIENCE

    run(scenario())


def test_the_log_says_once_why_redis_is_left_alone_and_when_it_is_back(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    now, well = [0.0], False
    breaker = Breaker(failures=2, pause=1.0, clock=lambda: now[0], chance=lambda: 0.0)

    async def by_turns(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(b"$0\r\n\r\n" if well else b"-NOAUTH Authentication required.\r\n")

    async def scenario() -> None:
        nonlocal well
        async with listening(by_turns) as url, opened(url, breaker=breaker) as store:
            for _ in range(10):
                await store.get(KEY)
            well, now[0] = True, 1.0
            for _ in range(10):
                await store.get(KEY)

    with caplog.at_level(logging.INFO, logger="rookery.pipeline"):
        run(scenario())
    warned, informed = (record.getMessage() for record in caplog.records if record.name == "rookery.pipeline")
    assert "left alone" in warned
    assert "Authentication required" in warned
    assert informed == "Redis answers again"


def test_a_connection_that_falls_silent_after_an_answer_is_not_used_again(run: Run) -> None:
    """The peer is gone and nothing says so: one look-up pays the time-out, the next has a new connection."""
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.read(65_536)
        served += 1
        writer.write(b"$0\r\n\r\n")
        await swallow(reader, writer)

    async def scenario() -> None:
        async with listening(once) as url, opened(url) as store:
            for errors in (0, 1, 1, 2):
                assert await timed(store.get(KEY)) < PATIENCE
                assert store.counts.errors == errors
            assert served == 2

    run(scenario())


def test_an_answer_that_comes_too_late_is_nobodys(run: Run) -> None:
    """What the server says after the time-out, or unasked, does not answer the next look-up."""
    value = encode_entry(KEY, ENTRY) or b""
    reply = b"$%d\r\n%b\r\n" % (len(value), value)

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            await asyncio.sleep(2 * TIMEOUT)
            writer.write(reply)

    async def unasked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(b"$0\r\n\r\n" + reply)

    async def scenario() -> None:
        for behaviour in (late, unasked):
            async with listening(behaviour) as url, opened(url, breaker=Breaker(failures=100)) as store:
                for _ in range(4):
                    assert await store.get(KEY) is None
                    await asyncio.sleep(TIMEOUT)

    run(scenario())


@pytest.mark.parametrize(
    "refusal", ["OOM command not allowed when used memory > 'maxmemory'.", "READONLY You can't write", "NOPERM no"]
)
def test_a_redis_that_takes_nothing_more_is_still_asked(refusal: str, run: Run) -> None:
    value = encode_entry(KEY, ENTRY) or b""

    async def read_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := await reader.read(65_536):
            answers = b"GETRANGE" in command
            writer.write(b"$%d\r\n%b\r\n" % (len(value), value) if answers else b"-%b\r\n" % refusal.encode())

    async def scenario() -> None:
        async with listening(read_only) as url, opened(url, breaker=Breaker(failures=1)) as store:
            await store.put(KEY, ENTRY)
            await until(lambda: store.counts.errors == 1)
            assert store.up
            assert await store.get(KEY) == ENTRY

    run(scenario())


@pytest.mark.parametrize("name", ["black hole", "a web server", "hangs up"])
def test_a_server_that_speaks_no_tls_is_a_miss_in_time(name: str, run: Run) -> None:
    async def scenario() -> None:
        async with listening(BAD_SERVERS[name]) as url, opened(url.replace("redis:", "rediss:")) as store:
            assert await timed(store.get(KEY)) < PATIENCE
            assert store.counts.errors == 1

    run(scenario())


def test_redis_py_is_loaded_by_those_who_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing the store does not load it; opening one without it says what to install."""
    script = "import sys, rookery.pipeline.cache.redis_store; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    monkeypatch.setitem(sys.modules, "redis.asyncio.connection", None)
    with pytest.raises(SettingError, match=r"pip install 'rookery\[redis\]'"):
        RedisStore("redis://localhost", ttl_seconds=1)

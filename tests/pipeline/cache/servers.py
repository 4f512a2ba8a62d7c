"""Servers that are no Redis, each bad in its own way, in the event loop of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(behaviour: Behaviour, port: int = 0) -> AsyncIterator[str]:
    """Serve every connection with `behaviour`; yields the URL that a store is given."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await behaviour(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.sleep(0)


async def swallow(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read on and never answer."""
    while await reader.read(65_536):
        pass


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection when a command has come."""
    await reader.read(1)
    writer.close()


async def half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say that nothing will be said, and go on listening."""
    writer.write_eof()
    await swallow(reader, writer)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a value of a kilobyte, one byte every two hundredths of a second."""
    await reader.read(1)
    for byte in b"$1000\r\n" + b"x" * 1000 + b"\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Announce four gigabytes and send them as fast as they are taken."""
    await reader.read(1)
    writer.write(b"$4000000000\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


def saying(reply: bytes) -> Behaviour:
    """Return a behaviour that answers every command with the same bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(reply)

    return answer

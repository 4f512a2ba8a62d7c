"""A closed-loop load generator for machines without `wrk`: one process, keep-alive connections, one request each.

Call: python -m benchmarks.generator PORT PATH CONTENT_TYPE BODY_FILE CONNECTIONS SECONDS [VARY_AT FIRST END]
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import uvloop


class Client(asyncio.Protocol):
    """One connection that sends the next request as soon as its answer is complete."""

    def __init__(self, request: Callable[[], bytes], latencies: list[float]) -> None:
        self.request = request
        self.latencies = latencies
        self.errors = 0
        self.pending = b""
        self.sent = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; when it is complete, count it and send again."""
        self.pending += data
        head, found, rest = self.pending.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self.pending = rest[length:]
        self.latencies.append(time.perf_counter() - self.sent)
        self.errors += not head.startswith(b"HTTP/1.1 2")
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a connection that the server closed."""
        self.errors += exc is not None

    def _send(self) -> None:
        assert self.transport is not None
        self.sent = time.perf_counter()
        self.transport.write(self.request())


async def generate(port: int, request: Callable[[], bytes], connections: int, seconds: float) -> dict[str, int]:
    """Load the server on `port` for some seconds; returns counts, and latencies in microseconds."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    before = time.perf_counter()
    pairs = [
        await loop.create_connection(lambda: Client(request, latencies), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    elapsed = time.perf_counter() - before
    for transport, _ in pairs:
        transport.abort()
    ordered = sorted(latencies) or [0.0]
    return {
        "requests": len(latencies),
        "microseconds": round(elapsed * 1e6),
        "p50": round(ordered[len(ordered) // 2] * 1e6),
        "p99": round(ordered[int(len(ordered) * 0.99)] * 1e6),
        "errors": sum(client.errors for _, client in pairs),
    }


def _requests(
    head: bytes, body: bytes, vary_at: int | None = None, first: int = 0, end: int = 1
) -> Callable[[], bytes]:
    """Return what gives each request: always the same, or with eight digits of the body counting up to `end`."""
    if vary_at is None:
        return lambda: head + body
    numbers = itertools.count(first)
    before, after = head + body[:vary_at], body[vary_at + 8 :]
    return lambda: b"%b%08d%b" % (before, next(numbers) % end, after)


def main() -> None:
    """Read the arguments, run, and print one line of JSON."""
    port, path, content_type, body_file, connections, seconds, *varied = sys.argv[1:]
    body = Path(body_file).read_bytes()
    fields = ("Host: 127.0.0.1", f"Content-Type: {content_type}", f"Content-Length: {len(body)}")
    head = "\r\n".join((f"POST {path} HTTP/1.1", *fields, "", ""))
    request = _requests(head.encode(), body, *map(int, varied))
    found = uvloop.run(generate(int(port), request, int(connections), float(seconds)))
    print("RESULT " + json.dumps(found))


if __name__ == "__main__":
    main()

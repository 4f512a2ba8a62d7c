"""A real uvicorn server with the lane in front of a small application, for the lane's own tests."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from rookery.pipeline.call import Call
from rookery.serving.lane import Deadlines, Lane, LaneRoute
from rookery.serving.protocol import LaneProtocol


class EchoMount:
    """Answers each call with its own body; the body `b"crash"` makes it raise, `b"none"` leaves it unanswered."""

    def __init__(self) -> None:
        self.is_light = True
        self.passes: list[int] = []
        self.reply_bytes = 0

    def answer_now(self, calls: list[Call]) -> None:
        self.passes.append(len(calls))
        for call in calls:
            call.request_id = "server-made"
            if call.body == b"crash":
                raise ValueError("asked to crash")
            if call.body != b"none":
                call.status = 200
                call.payload = json.dumps({"lane": call.body.decode("latin-1"), "pad": "x" * self.reply_bytes}).encode()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Echo the body by the ASGI door; `/slow` takes 0.3 s; lifespan is acknowledged."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    answer = json.dumps({"asgi": body.decode("latin-1"), "path": scope["path"]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class LaneServer:
    """The running server: its port, its lane and the mount behind `/predict`."""

    def __init__(self, deadlines: Deadlines, **options: Any) -> None:
        self.mount = EchoMount()
        self.other = EchoMount()
        self.lane = Lane(
            {b"/predict": LaneRoute(self.mount, "single"), b"/other": LaneRoute(self.other, "single")},
            deadlines=deadlines,
        )
        config = uvicorn.Config(
            application,
            http=partial(LaneProtocol, self.lane),  # type: ignore[arg-type]
            loop="uvloop",
            ws="none",
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
            **options,
        )
        self.server = uvicorn.Server(config)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)

    def start(self) -> None:
        self.thread.start()
        wait_until(lambda: self.server.started)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(15)
        assert not self.thread.is_alive(), "the server did not stop"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)


@contextmanager
def running(deadlines: Deadlines | None = None, **options: Any) -> Iterator[LaneServer]:
    server = LaneServer(deadlines or Deadlines(), **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def wait_until(condition: Any, seconds: float = 10) -> None:
    """Poll until `condition()` holds; fails the test after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)


def request(path: str, body: bytes = b"{}", method: str = "POST", headers: str = "", version: str = "1.1") -> bytes:
    """Return the bytes of one plain request."""
    head = f"{method} {path} HTTP/{version}\r\nHost: test\r\nContent-Type: application/json\r\n{headers}"
    return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class Reader:
    """Reads HTTP responses off a socket, one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""

    def _fill(self) -> bool:
        data = self.connection.recv(65536)
        self.buffer += data
        return bool(data)

    def read(self) -> tuple[int, dict[str, str], bytes]:
        """Return the next response's status, headers and body; raises EOFError when there is none."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._fill():
                raise EOFError(f"connection closed after {self.buffer!r}")
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            if not self._fill():
                raise EOFError("connection closed within a body")
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(first.split()[1]), headers, body

    def at_end(self) -> bool:
        """Tell whether the server closed the connection without a further byte."""
        return not self.buffer and not self._fill()

"""A server of one file on the loopback interface that behaves, one request after the other, as a test tells it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Behaviour = Callable[["Exchange"], None]
TAG = '"first"'


class Exchange:
    """One request, and the means to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, server: FileServer) -> None:
        self._handler, self.data, self.closing = handler, server.data, server.closing
        self.headers = handler.headers

    @property
    def start(self) -> int:
        """Where the bytes begin that are asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0

    def head(self, status: int, **headers: Any) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name.replace("_", "-"), str(value))
        self._handler.end_headers()

    def send(self, data: bytes) -> bool:
        """Send bytes; False when the other side has gone."""
        try:
            self._handler.wfile.write(data)
            self._handler.wfile.flush()
        except OSError:
            return False
        return True

    def head_of_file(self, *, tag: str = TAG, ranges: bool = True, total: int | None = None) -> int:
        """Answer 200, or 206 for a range of the file that `If-Range` names; returns where the body begins."""
        total = len(self.data) if total is None else total
        wanted = self.headers.get("If-Range", tag)
        start = self.start if ranges and wanted == tag else 0
        headers: dict[str, Any] = {"Content_Length": total - start, "ETag": tag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{total - 1}/{total}"
        self.head(206 if start else 200, **headers)
        return start


def serve(exchange: Exchange) -> None:
    exchange.send(exchange.data[exchange.head_of_file() :])


def serve_changed(exchange: Exchange) -> None:
    """The file under another tag: who asks for the rest of the old one gets all of it."""
    exchange.send(exchange.data[exchange.head_of_file(tag='"second"') :])


def serve_whole(exchange: Exchange) -> None:
    """As servers that know no ranges."""
    exchange.head_of_file(ranges=False)
    exchange.send(exchange.data)


def serve_without_tag(exchange: Exchange) -> None:
    start, total = exchange.start, len(exchange.data)
    headers = {"Content_Range": f"bytes {start}-{total - 1}/{total}"} if start else {}
    exchange.head(206 if start else 200, Content_Length=total - start, **headers)
    exchange.send(exchange.data[start:])


def cut_after(number: int, tag: str = TAG) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        start = exchange.head_of_file(tag=tag)
        exchange.send(exchange.data[start : start + number])

    return behave


def stall_after(number: int) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        start = exchange.head_of_file()
        exchange.send(exchange.data[start : start + number])
        exchange.closing.wait(30)

    return behave


def drip(exchange: Exchange) -> None:
    """Send a byte ten times a second: never silent, never done."""
    start = exchange.head_of_file()
    for byte in exchange.data[start:]:
        if exchange.closing.wait(0.1) or not exchange.send(bytes([byte])):
            return


def say_nothing(exchange: Exchange) -> None:
    exchange.closing.wait(30)


def answer(status: int, **headers: Any) -> Behaviour:
    return lambda exchange: exchange.head(status, Content_Length=0, **headers)


def redirect(target: str, status: int = 302) -> Behaviour:
    return lambda exchange: exchange.head(status, Location=target, Content_Length=0)


def alter(exchange: Exchange) -> None:
    """One byte of the file is another."""
    start, middle = exchange.head_of_file(), len(exchange.data) // 2
    altered = bytearray(exchange.data)
    altered[middle] ^= 1
    exchange.send(bytes(altered[start:]))


def endless(exchange: Exchange) -> None:
    """Say no length, and never stop."""
    exchange.head(200)
    exchange.send(exchange.data)
    while not exchange.closing.is_set() and exchange.send(bytes(65_536)):
        pass


def claim(difference: int) -> Behaviour:
    """Send the file under a length that is not its own."""

    def behave(exchange: Exchange) -> None:
        start = exchange.head_of_file(total=len(exchange.data) + difference)
        exchange.send(exchange.data[start:])

    return behave


class FileServer:
    """Serves `data` under every path; each request follows the next behaviour, and all further ones the last."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.closing = threading.Event()
        self.behaviours: list[Behaviour] = [serve]
        self.requests: list[dict[str, str]] = []
        self._lock = threading.Lock()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                behave = served._next(self)
                with suppress(OSError):
                    behave(Exchange(self, served))

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def _next(self, handler: BaseHTTPRequestHandler) -> Behaviour:
        with self._lock:
            self.requests.append({**dict(handler.headers.items()), "path": handler.path})
            return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.base}/folder/model.onnx"

    def ranges(self) -> list[str | None]:
        """Return what each request asked for, in their order."""
        return [request.get("Range") for request in self.requests]

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def behaving(data: bytes, *behaviours: Behaviour) -> Iterator[FileServer]:
    """Start a server that follows these behaviours."""
    with FileServer(data) as server:
        server.behaviours = list(behaviours) or [serve]
        yield server

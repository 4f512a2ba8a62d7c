"""A raw HTTP client: it sends exactly the bytes it is told to and reads every answer until the connection is still."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

CRLF = b"\r\n"


@dataclass(frozen=True, slots=True)
class HalfClose:
    """The client says that it will send nothing more, and goes on reading."""


@dataclass(frozen=True, slots=True)
class AwaitAnswers:
    """The client sends on only after so many answers (an interim 100 is one)."""

    count: int


@dataclass(frozen=True, slots=True)
class Pace:
    """The client pauses, so that what it sent before arrives on its own."""

    seconds: float = 0.001


Step = bytes | HalfClose | AwaitAnswers | Pace


@dataclass(frozen=True, slots=True)
class Answer:
    """One response as it came over the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value by its lower-case name."""
        return dict(self.headers).get(name)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Everything that one connection brought: its answers, and whether the server closed it."""

    answers: tuple[Answer, ...]
    closed: bool

    @property
    def statuses(self) -> tuple[int, ...]:
        """The answers' status codes."""
        return tuple(answer.status for answer in self.answers)


class Connection:
    """One TCP connection to a server on the loopback interface."""

    def __init__(self, port: int, *, patience: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.patience = patience
        self.received = b""
        self.closed = False

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; a server that has already closed its side may be deaf to them."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def read_answer(self, method: str = "POST") -> Answer | None:
        """Read one response; None when the server closes instead of answering.

        Raises:
            TimeoutError: nothing comes within the connection's patience.
        """
        while CRLF * 2 not in self.received:
            if not self._fill():
                return None
        head, _, self.received = self.received.partition(CRLF * 2)
        status_line, *lines = head.split(CRLF)
        status = int(status_line.split(b" ", 2)[1])
        pairs = [line.split(b":", 1) for line in lines]
        headers = tuple((name.decode("ascii").lower(), value.strip().decode("latin-1")) for name, value in pairs)
        if status < 200 or status in (204, 304) or method == "HEAD":
            return Answer(status, headers, b"")
        named = dict(headers)
        if "chunked" in named.get("transfer-encoding", ""):
            return Answer(status, headers, self._read_chunks())
        if "content-length" in named:
            return Answer(status, headers, self._read_exactly(int(named["content-length"])))
        while self._fill():
            pass
        body, self.received = self.received, b""
        return Answer(status, headers, body)

    def wait_closed(self, seconds: float) -> bool:
        """Tell whether the server closes within some seconds, with no further byte."""
        if self.closed:
            return True
        self.socket.settimeout(seconds)
        try:
            more = self.socket.recv(65_536)
        except TimeoutError:
            return False
        except ConnectionResetError:
            more = b""
        finally:
            self.socket.settimeout(self.patience)
        self.received += more
        self.closed = not more
        return self.closed

    def _fill(self) -> bool:
        if self.closed:
            return False
        try:
            data = self.socket.recv(262_144)
        except ConnectionResetError:
            data = b""
        self.received += data
        self.closed = not data
        return bool(data)

    def _read_exactly(self, count: int) -> bytes:
        while len(self.received) < count:
            if not self._fill():
                raise AssertionError(f"the server closed after {len(self.received)} of {count} body bytes")
        body, self.received = self.received[:count], self.received[count:]
        return body

    def _read_chunks(self) -> bytes:
        body = b""
        while True:
            while CRLF not in self.received:
                if not self._fill():
                    raise AssertionError("the server closed amid a chunked body")
            size, _, self.received = self.received.partition(CRLF)
            length = int(size.split(b";")[0], 16)
            body += self._read_exactly(length)
            self._read_exactly(2)
            if not length:
                return body


def exchange(
    port: int, steps: Sequence[Step], *, answers: int, methods: Sequence[str] = (), silence: float = 0.1
) -> Exchange:
    """Play steps over one connection and read what comes.

    Args:
        port: the server's port.
        steps: bytes to send and things to wait for, in order.
        answers: how many final answers are read at most; interim ones (100) come on top of them.
        methods: the request methods in order (a HEAD's answer has no body); missing ones are POST.
        silence: seconds without a byte after which a connection counts as kept open.
    """
    found: list[Answer] = []
    with Connection(port) as connection:

        def read() -> bool:
            finals = sum(answer.status >= 200 for answer in found)
            answer = connection.read_answer(methods[finals] if finals < len(methods) else "POST")
            if answer is not None:
                found.append(answer)
            return answer is not None

        for step in steps:
            if isinstance(step, bytes):
                connection.send(step)
            elif isinstance(step, HalfClose):
                connection.socket.shutdown(socket.SHUT_WR)
            elif isinstance(step, Pace):
                time.sleep(step.seconds)
            else:
                while len(found) < step.count and read():
                    pass
        while sum(answer.status >= 200 for answer in found) < answers and read():
            pass
        return Exchange(tuple(found), connection.wait_closed(silence))

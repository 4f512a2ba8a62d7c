"""The lane: the worker's list of prediction calls that are answered inside the HTTP protocol class.

The protocol (`serving/protocol.py`) appends calls; once per turn of the event loop they go through their services'
pipelines together, and the answers go straight to the transports.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rookery.pipeline.call import Call, CallKind
from rookery.serving.http import STATUS_LINES

if TYPE_CHECKING:
    from uvicorn.server import ServerState

logger = logging.getLogger("rookery.serving")

CALLS_PER_PASS = 256
"""So many calls at most are answered before other connections get their turn."""

INTERNAL_ERROR = b'{"detail":"internal error"}'


class Answering(Protocol):
    """What the lane needs of a mounted service."""

    @property
    def is_light(self) -> bool:
        """Whether calls may be answered inline."""

    def answer_now(self, calls: list[Call]) -> None:
        """Answer all calls in this very turn."""


class Replying(Protocol):
    """What the lane needs of a connection."""

    def send_answer(self, call: Call, head: bytes) -> None:
        """Send one answered call's response, whose head lacks only the id and the length."""


@dataclass(frozen=True, slots=True)
class LaneRoute:
    """A request target of the lane: which service it calls, and how."""

    mount: Answering
    kind: CallKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How many seconds a connection may take for each of its phases."""

    header: float = 10.0
    body: float = 30.0
    idle: float = 65.0
    unread: float = 30.0
    linger: float = 2.0
    drain: float = 0.5


class Lane:
    """One worker's waiting calls, its lane routes and the coarse clock its connections are judged by."""

    def __init__(
        self,
        routes: Mapping[bytes, LaneRoute],
        *,
        deadlines: Deadlines | None = None,
        allowed_hosts: frozenset[bytes] = frozenset(),
        header_lines: bytes = b"",
    ) -> None:
        self.routes = routes
        self.deadlines = deadlines or Deadlines()
        self.allowed_hosts = allowed_hosts
        """Host headers the lane accepts; empty: any. Others are answered by the application."""
        self.now = 0.0
        """The event loop's time at the last sweep: a second old at most, and free to read."""
        self._queue: list[tuple[LaneRoute, Call]] = []
        self._is_scheduled = False
        self._has_company = False
        """Whether calls came together lately: more of them are likely to be on their way."""
        self._header_lines = header_lines
        self._heads: dict[tuple[int, bytes], bytes] = {}
        self._default_headers: list[tuple[bytes, bytes]] | None = None
        self._server_state: ServerState | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, server_state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        """Begin sweeping the server's connections once a second; called by the first connection."""
        if self._loop is None:
            self._loop, self._server_state = loop, server_state
            self._sweep()

    def submit(self, route: LaneRoute, call: Call) -> None:
        """Take a call into this turn's pass."""
        self._queue.append((route, call))
        if not self._is_scheduled and self._loop is not None:
            self._is_scheduled = True
            self._loop.call_soon(self._look_once_more if self._has_company else self.run_pass)

    def _look_once_more(self) -> None:
        """Let the event loop read its sockets once more before the pass: what has arrived by then travels along."""
        if self._loop is not None:
            self._loop.call_soon(self.run_pass)

    def run_pass(self) -> None:
        """Answer what is waiting, in the order of arrival, `CALLS_PER_PASS` calls at most."""
        self._is_scheduled = False
        turn = self._queue
        if len(turn) > CALLS_PER_PASS:
            turn, self._queue = turn[:CALLS_PER_PASS], turn[CALLS_PER_PASS:]
            self._is_scheduled = True
            if self._loop is not None:
                self._loop.call_soon(self.run_pass)
        else:
            self._queue = []
        if turn:
            self._has_company = len(turn) > 1
        groups: dict[Answering, list[Call]] = {}
        for route, call in turn:
            group = groups.get(route.mount)
            if group is None:
                groups[route.mount] = [call]
            else:
                group.append(call)
        for mount, calls in groups.items():
            try:
                mount.answer_now(calls)
            except Exception:
                logger.exception("a pass of %d calls failed", len(calls))
        self._send(turn)

    def _send(self, turn: list[tuple[LaneRoute, Call]]) -> None:
        state = self._server_state
        if state is not None:
            state.total_requests += len(turn)
            if state.default_headers is not self._default_headers:
                self._default_headers = state.default_headers
                self._heads = {}
        heads = self._heads
        for _, call in turn:
            if call.payload is None:
                call.status, call.payload = 500, INTERNAL_ERROR
            version = call.version.header if call.version is not None else b""
            head = heads.get((call.status, version))
            if head is None:
                head = heads[call.status, version] = self._make_head(call.status, version)
            try:
                call.reply_to.send_answer(call, head)
            except Exception:
                logger.exception("an answer could not be written")

    def _make_head(self, status: int, version: bytes) -> bytes:
        """Return all of a response's head that calls of one status and version share in this second."""
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in self._default_headers or ())
        wait = b"retry-after: 1\r\n" if status in (503, 504) else b""
        return b"".join(
            (STATUS_LINES[status], lines, b"content-type: application/json\r\n", self._header_lines, version, wait)
        )

    def _sweep(self) -> None:
        """Close connections that outstayed a deadline; runs once a second."""
        loop, state = self._loop, self._server_state
        if loop is None or state is None:
            return
        self.now = loop.time()
        for connection in list(state.connections):
            expire = getattr(connection, "expire", None)
            if expire is not None:
                expire(self.now, self.deadlines)
        loop.call_later(1.0, self._sweep)

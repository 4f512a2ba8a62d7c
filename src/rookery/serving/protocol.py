"""`LaneProtocol`: uvicorn's HTTP protocol, with a short way for predictions and a deadline for everything.

Requests that are plain, small and for a light model are answered by the lane; all others go uvicorn's own way to
the ASGI application. `docs/architecture/04-request-journey.md` lists every coupling to uvicorn's internals; the
differential corpus in `tests/http` is the alarm when an upgrade breaks one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from rookery.pipeline.call import Call
from rookery.serving.framing import HEADER_BYTES, Refusal, check_framing, is_plain
from rookery.serving.http import sane_request_id
from rookery.serving.lane import Deadlines, Lane, LaneRoute
from rookery.serving.phase import Phase, verdict

SLICE_BYTES = 8_192
"""Received data is parsed in slices of this size, so that the caps on waiting requests hold."""
WAITING_PER_CONNECTION = 64
"""So many unanswered requests of one connection are parsed ahead; the rest wait unparsed."""


class LaneProtocol(HttpToolsProtocol):
    """One connection: uvicorn's protocol, with its prediction requests taken by the lane."""

    def __init__(
        self,
        lane: Lane,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        lane.attach(server_state, self.loop)
        self._lane = lane
        self._route: LaneRoute | None = None
        self._chunks: list[bytes] = []
        self._client_request_id: str | None = None
        self._waiting = 0
        """Lane calls of this connection that are not answered yet."""
        self._phase = Phase.IDLE
        self._since = lane.now
        """When the phase began, by the lane's coarse clock."""
        self._unread_since = 0.0
        """When the client stopped reading its answers; holds while writing is paused."""
        self._header_bytes = 0
        self._backlog: deque[bytes] = deque()
        """Data that is received but not parsed yet, in slices."""
        self._refusal: Refusal | None = None
        self._is_last = False
        """Whether the client asked to close after a request that was read; what follows it is ignored."""
        self._is_ignored = False
        """Whether the message being read follows such a request."""
        self._is_draining = False
        """Whether the server stops: what was begun is finished, then the connection closes."""
        self._has_eof = False
        self._is_lost = False

    # Receiving

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, as long as not too much is waiting for its answer."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._phase is Phase.LINGERING or self._refusal is not None:
            return
        if self._backlog or len(data) > SLICE_BYTES or self.flow.write_paused:
            self._backlog.extend(data[at : at + SLICE_BYTES] for at in range(0, len(data), SLICE_BYTES))
            self._work_off()
        else:
            self._feed(data)

    def _work_off(self) -> None:
        """Parse the backlog slice by slice until it is empty or too much is waiting."""
        while self._backlog and self._refusal is None and not self._is_lost:
            if self._waiting + len(self.pipeline) >= WAITING_PER_CONNECTION or self.flow.write_paused:
                self.flow.pause_reading()
                return
            self._feed(self._backlog.popleft())

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # No other protocol is spoken here; the request is answered as it stands.
        except httptools.HttpParserError as error:
            refusal = error.__context__
            self._refuse(refusal if isinstance(refusal, Refusal) else Refusal(400, "Invalid HTTP request received."))
            return
        if self._phase is Phase.HEADERS:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES:
                self._refuse(Refusal(431, "Request headers are too large."))

    def on_message_begin(self) -> None:
        """Start a request; what only the application needs is prepared when it is known to be asked."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._route = None
        self._is_ignored = self._is_last
        self._phase = Phase.HEADERS
        self._since = self._lane.now
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide by which door the request goes."""
        self._phase = Phase.BODY
        self._since = self._lane.now
        if self._is_ignored:
            return
        headers = dict(self.headers)
        route = self._lane.routes.get(self.url)
        if route is not None and self._is_for_lane(route, headers):
            self._route = route
            self._chunks = []
            client_id = headers.get(b"x-request-id")
            self._client_request_id = None if client_id is None else sane_request_id(client_id)
        else:
            check_framing(self.url, self.headers, self.parser.get_http_version())
            self._begin_application_request()

    def _is_for_lane(self, route: LaneRoute, headers: dict[bytes, bytes]) -> bool:
        """Tell whether a request is plain and small, for a light model, and in nobody's way."""
        limit = self.limit_concurrency
        return (
            len(headers) == len(self.headers)
            and self._header_bytes <= HEADER_BYTES - SLICE_BYTES  # with the slice that ended them, under the cap
            and is_plain(headers, self._lane.allowed_hosts)
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self._is_application_busy()
            and route.mount.is_light
            and (limit is None or len(self.connections) < limit)
        )

    def _begin_application_request(self) -> None:
        """Go uvicorn's own way, after the lane's answers of this connection, so that none is overtaken."""
        while self._waiting:
            self._lane.run_pass()
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in headers
        )
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Collect a part of the body."""
        if self._route is not None:
            self._chunks.append(body)
        elif not self._is_ignored:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Hand a complete request to the lane."""
        self._phase = Phase.ANSWERING
        if self._is_ignored:
            return
        if self._route is None:
            super().on_message_complete()
            return
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if not self.parser.should_keep_alive():
            self._is_last = True
        self._waiting += 1
        call = Call(
            self._route.kind, body, time.perf_counter(), client_request_id=self._client_request_id, reply_to=self
        )
        self._lane.submit(self._route, call)

    # Answering

    def send_answer(self, call: Call, head: bytes) -> None:
        """Write one lane call's response; `head` lacks only the request id and the length."""
        self._waiting -= 1
        transport = self.transport
        if transport.is_closing():
            return
        is_final = not self._waiting and (
            self._is_last or (self._is_draining and self._phase is Phase.ANSWERING and not self._backlog)
        )
        payload = call.payload or b""
        transport.write(
            b"%bx-request-id: %b\r\ncontent-length: %d\r\n%b\r\n%b"
            % (
                head,
                (call.client_request_id or call.request_id).encode("ascii"),
                len(payload),
                b"connection: close\r\n" if is_final else b"",
                payload,
            )
        )
        if is_final:
            transport.close()
        elif not self._waiting:
            self._rest()

    def on_response_complete(self) -> None:
        """Go on after an application's response."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if not self._is_application_busy():
            self._rest()
        elif self._backlog and len(self.pipeline) < WAITING_PER_CONNECTION:
            # The newest request may be waiting for a body whose end is in the backlog.
            self.loop.call_soon(self._resume)

    def _rest(self) -> None:
        """Every request that was parsed is answered: close, refuse, parse on, or wait for the next one."""
        if self._refusal is not None:
            self._send_refusal(self._refusal)
        elif self._backlog:
            self.loop.call_soon(self._resume)
        elif self._has_eof:
            self.transport.close()
        elif self._phase is Phase.ANSWERING:
            self._phase = Phase.IDLE
            self._since = self._lane.now

    def _resume(self) -> None:
        if self._is_lost or self.transport.is_closing():
            return
        self._work_off()
        if not self._backlog and not self.flow.write_paused:
            self.flow.resume_reading()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with an error and close, but not before the answers that are due."""
        self._refusal = refusal
        self._backlog.clear()
        self.flow.pause_reading()
        while self._waiting and not self.transport.is_closing():
            self._lane.run_pass()
        cycle = self.cycle
        if not self._is_application_busy():
            self._send_refusal(refusal)
        elif cycle.more_body:
            # The refused bytes belong to the body of the newest request, which will never be complete.
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
                cycle.response_complete = True
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
            else:
                self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        """Write the refusal, then keep the connection a moment, so that a client that still sends can read it."""
        self._phase = Phase.LINGERING
        self._since = self._lane.now
        if self.transport.is_closing():
            return
        self.transport.write(refusal.render(self.server_state.default_headers))
        self.flow.resume_reading()
        if self._has_eof or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()

    # Closing

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a client that only stopped sending, as long as it has answers to get."""
        self._has_eof = True
        is_owed = self._waiting > 0 or bool(self._backlog) or self._is_application_busy()
        return is_owed and self._phase is Phase.ANSWERING

    def _is_application_busy(self) -> bool:
        newest = self._newest_cycle
        return newest is not None and not newest.response_complete

    @property
    def _newest_cycle(self) -> RequestResponseCycle | None:
        return self.cycle  # uvicorn declares it as always there; before the first request it is None.

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was not parsed yet; answers that are still due are dropped when they come."""
        self._is_lost = True
        self._backlog.clear()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Finish what was begun, then close; idle connections get a moment, for requests already on their way."""
        self._is_draining = True
        if self._is_application_busy():
            self.cycle.keep_alive = False
        elif self._phase is Phase.IDLE:
            self._phase = Phase.DRAINING
            self.loop.call_later(self._lane.deadlines.drain, self._close_if_drained)

    def _close_if_drained(self) -> None:
        if self._phase is Phase.DRAINING and not self.transport.is_closing():
            self.transport.close()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read its answers."""
        super().pause_writing()
        self.flow.pause_reading()
        self._unread_since = self._lane.now

    def resume_writing(self) -> None:
        """Read on from a client that reads again."""
        super().resume_writing()
        if self._backlog:
            self.loop.call_soon(self._resume)
        else:
            self.flow.resume_reading()

    def expire(self, now: float, deadlines: Deadlines) -> None:
        """Close the connection if its phase has lasted too long; called once a second."""
        if self._is_lost or self.transport.is_closing():
            return
        phase, since = (Phase.UNREAD, self._unread_since) if self.flow.write_paused else (self._phase, self._since)
        end = verdict(phase, now - since, deadlines)
        if end == "abort":
            self.transport.abort()
        elif end == "close":
            self.transport.close()
        elif end == "refuse":
            if self._is_application_busy():
                # The application has its own deadline for bodies, and a better answer; this is the last resort.
                if now - self._since > deadlines.body + deadlines.linger:
                    self.transport.close()
            else:
                self._refuse(Refusal(408, "The request did not arrive in time."))

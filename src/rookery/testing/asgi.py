"""An ASGI application called from ordinary code: no port, no server, an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LocalResponse:
    """A response of an application in this process."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8")

    def json(self) -> Any:
        """Return the body's JSON values; strictly: NaN and infinities are no JSON.

        Raises:
            ValueError: the body is no strict JSON.
        """
        return json.loads(self.content.decode("utf-8"), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


class AsgiCaller:
    """Sends requests to an application; begins its lifespan when made and ends it in `close`."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="local-client", daemon=True)
        self._thread.start()
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._lifespan = asyncio.run_coroutine_threadsafe(self._live(), self._loop)
        try:
            self._tell("lifespan.startup")
        except RuntimeError:
            self._stop()
            raise

    def request(
        self, method: str, target: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> LocalResponse:
        """Send one request and return its response.

        Raises:
            TimeoutError: the application does not answer within a minute.
        """
        future = asyncio.run_coroutine_threadsafe(self._exchange(method, target, content, headers or {}), self._loop)
        return future.result(PATIENCE_SECONDS)

    def close(self) -> None:
        """End the application's lifespan and the event loop; closing twice is harmless."""
        if self._loop.is_closed():
            return
        try:
            self._tell("lifespan.shutdown")
        finally:
            self._stop()

    def _stop(self) -> None:
        # What a lifespan raises is no fault of it: so do applications that have none (ASGI, lifespan).
        wait([self._lifespan], PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def _tell(self, kind: str) -> None:
        """Send a lifespan message and wait for its answer, or for the application's return."""
        asyncio.run_coroutine_threadsafe(self._await_lifespan(kind), self._loop).result(PATIENCE_SECONDS)

    async def _await_lifespan(self, kind: str) -> None:
        await self._inbox.put({"type": kind})
        answer = await self._outbox.get()
        if answer["type"].endswith(".failed"):
            raise RuntimeError(f"the application's {kind.partition('.')[2]} failed: {answer.get('message', '')}")

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self._application(scope, self._inbox.get, self._outbox.put)
        finally:
            for _ in range(2):  # whoever waits for an answer to start-up or shutdown waits no longer
                await self._outbox.put({"type": "lifespan.none"})

    async def _exchange(self, method: str, target: str, content: bytes, headers: Mapping[str, str]) -> LocalResponse:
        sent = {"host": "localhost", **{name.lower(): value for name, value in headers.items()}}
        if content:
            sent.setdefault("content-type", "application/json")
            sent.setdefault("content-length", str(len(content)))
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("127.0.0.1", 0),
            "server": ("localhost", 80),
            "state": {},
        }
        return await _collect(self._application, scope, content)


async def _collect(application: Application, scope: Message, content: bytes) -> LocalResponse:
    """Run one request through an application and put its response together."""
    is_sent = False
    status, headers, chunks = 0, {}, []

    async def receive() -> Message:
        nonlocal is_sent
        if is_sent:
            await asyncio.get_running_loop().create_future()  # the client stays connected and says nothing more
        is_sent = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            chunks.append(message.get("body", b""))

    await application(scope, receive, send)
    return LocalResponse(status, headers, b"".join(chunks))

"""Responses: strict JSON, and refusals of requests whose bodies are not read to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

LINGER_SECONDS = 2.0
LINGER_BYTES = 64_000_000

_encoder = msgspec.json.Encoder()


class JsonResponse(Response):
    """An answer in strict JSON (RFC 8259): what is no finite number becomes null, never NaN."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body; `content` is whatever msgspec encodes, structs included."""
        return _encoder.encode(content)


class EarlyRefusal(Response):
    """An answer given before the request's body has arrived, after which the connection is closed.

    A connection that is closed upon unread data is reset, and the client may never see the answer. So what still
    arrives is read and thrown away for a moment, up to `LINGER_BYTES` and `LINGER_SECONDS`.
    """

    media_type = "application/json"

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body, status, {**(headers or {}), "connection": "close"})

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send the whole answer, swallow what is still sent, then end it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await _discard(receive)
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive: Receive) -> None:
    """Read the rest of a request's body, up to `LINGER_BYTES`."""
    left = LINGER_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))

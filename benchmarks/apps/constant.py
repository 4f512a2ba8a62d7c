"""The fastest ASGI application there is: a constant answer of a prediction's length, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

BODY = b"{" + b" " * (int(os.environ.get("BENCH_BODY_BYTES", "106")) - 2) + b"}"
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
}
END = {"type": "http.response.body", "body": BODY}

Message = MutableMapping[str, Any]


async def app(
    scope: Message, _receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer every request with the same bytes."""
    if scope["type"] == "http":
        await send(START)
        await send(END)

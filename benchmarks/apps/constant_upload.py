"""The constant application for uploads: it reads all of a request before it answers, and does nothing with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from benchmarks.apps.constant import END, START, Message


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer every request with the same bytes once it is here."""
    if scope["type"] == "http":
        while (await receive()).get("more_body", False):
            pass
        await send(START)
        await send(END)

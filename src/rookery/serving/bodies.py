"""Request bodies: which are read, how far, and for how long."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from starlette.types import Receive

from rookery.errors import MalformedRequest, Overloaded, PayloadTooLarge, UnsupportedMedia

HELD_BYTES = 256_000_000
"""Bodies of one service that one worker keeps in memory at once; what would exceed them is shed with 503."""
READABLE_JSON = "Send 'Content-Type: application/json' in UTF-8"

_JSON_SUFFIX = re.compile(rb"[a-z0-9!#$&^_.-]+/[a-z0-9!#$&^_.-]+\+json")


class ClientGone(Exception):
    """The client left before its request was complete; there is nobody to answer."""


class BodyTimeout(Exception):
    """The request's body did not arrive in time."""


class HeldBodies:
    """The bodies that one service keeps in memory while they are received and answered, bounded by their bytes.

    Bytes count when they are here: a client that promises many and sends few keeps nobody else out.
    """

    def __init__(self, service: str, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._service = service

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Yield what one request takes room by as its bytes arrive; all of it is free again afterwards.

        Raises:
            Overloaded: by what is yielded, when there is no more room.
        """
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if self.bytes + size > self.limit:
                raise Overloaded(f"{self._service}: {self.bytes} bytes of requests are under way already")
            held += size
            self.bytes += size

        try:
            yield take
        finally:
            self.bytes -= held


async def read_body(
    headers: Sequence[tuple[bytes, bytes]],
    receive: Receive,
    *,
    limit: int,
    seconds: float,
    is_readable: Callable[[bytes], bool],
    readable: str,
    take: Callable[[int], None],
) -> bytes:
    """Read a body of at most `limit` bytes, within so many `seconds`.

    Each part takes its room in memory by `take` (`HeldBodies.hold`). `is_readable` tells by a `Content-Type` whether
    the body is read at all; `readable` says what is, as a cure.

    Raises:
        UnsupportedMedia: the body is compressed, or is declared to be something that is not read.
        MalformedRequest: the declared length is no number.
        PayloadTooLarge: the body is longer, or says that it will be; the rest of it has not been read.
        Overloaded: there is no room for it; neither has it then.
        BodyTimeout: the body did not arrive in time.
        ClientGone: the client left.
    """
    check_headers(headers, limit, is_readable=is_readable, readable=readable)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                take(len(chunk))
                chunks.append(chunk)
                if not message.get("more_body", False):
                    break
    except TimeoutError as error:
        raise BodyTimeout from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def check_headers(
    headers: Iterable[tuple[bytes, bytes]], limit: int, *, is_readable: Callable[[bytes], bool], readable: str
) -> None:
    """Refuse a body by what its headers say of it; see `read_body`."""
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise UnsupportedMedia("compressed request bodies are not read", cure="Send the body as it is")
        if name == b"content-type" and not is_readable(value):
            raise UnsupportedMedia("the request's content type is not read here", cure=readable)
        if name == b"content-length":
            if not value.isdigit() or len(value) > 18:
                raise MalformedRequest("Content-Length is no number")
            if int(value) > limit:
                raise too_large(limit)


def too_large(limit: int) -> PayloadTooLarge:
    """Return the error for a body of more than `limit` bytes."""
    return PayloadTooLarge(f"the request's body is longer than the limit of {limit} bytes")


def is_json_type(value: bytes) -> bool:
    """Tell whether a `Content-Type` names JSON in UTF-8; an empty one is taken for it, and so is any `+json`."""
    media, *parameters = (part.strip().lower() for part in value.split(b";"))
    if media not in (b"", b"application/json") and not _JSON_SUFFIX.fullmatch(media):
        return False
    charsets = [part[8:].strip(b'"') for part in parameters if part.startswith(b"charset=")]
    return all(charset in (b"utf-8", b"utf8") for charset in charsets)

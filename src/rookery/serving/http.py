"""HTTP's words for Rookery's: status codes, error bodies, request ids. Both doors speak by this table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from rookery.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    InvalidPicture,
    MalformedRequest,
    NotReady,
    Overloaded,
    PayloadTooLarge,
    RequestError,
    UnsupportedMedia,
)

STATUS_OF: Mapping[type[RequestError], int] = {
    MalformedRequest: 400,
    InvalidPicture: 400,
    PayloadTooLarge: 413,
    UnsupportedMedia: 415,
    InvalidInput: 422,
    InferenceFailed: 500,
    NotReady: 503,
    Overloaded: 503,
    DeadlineExceeded: 504,
}
"""The status of every error a call can end with."""

API_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""What every response carries, unless its route says otherwise (pages allow themselves their own scripts)."""

API_HEADER_LINES = b"".join(name + b": " + value + b"\r\n" for name, value in API_HEADERS)
"""The same as they stand in a response's head."""

_CLIENT_ID = re.compile(rb"[A-Za-z0-9._:@+=/-]{1,128}")
_encoder = msgspec.json.Encoder()


def status_of(error: RequestError) -> int:
    """Return the HTTP status that an error is answered with."""
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def encode_error(error: RequestError) -> tuple[int, bytes]:
    """Return an error's status and body: `{"detail": …}`, a list of problems for invalid input, else a sentence."""
    detail = error.details if isinstance(error, InvalidInput) else str(error)
    return status_of(error), _encoder.encode({"detail": detail})


def retry_after(error: RequestError) -> int | None:
    """Return after how many seconds it is worth trying again, for errors that pass by themselves."""
    if isinstance(error, Overloaded):
        return error.retry_after
    return 1 if isinstance(error, (NotReady, DeadlineExceeded)) else None


def sane_request_id(value: bytes) -> str | None:
    """Return a client's `X-Request-ID` if it is short and plain enough to be echoed, else None."""
    return value.decode("ascii") if _CLIENT_ID.fullmatch(value) else None


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


STATUS_LINES: Mapping[int, bytes] = {status: _status_line(status) for status in range(200, 600)}
"""The first line of a response, by status."""

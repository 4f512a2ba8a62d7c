"""Framing: which requests are plain enough for the lane, and which are so ambiguous that nobody may answer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rookery.serving.http import STATUS_LINES

LANE_BODY_BYTES = 65_536
"""Larger bodies go to the application, which reads them under its own caps."""
HEADER_BYTES = 16_384
"""A request's line and headers may be so long together."""

_NOT_PLAIN = frozenset(
    {b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"origin", b"inference-header-content-length"}
)


class Refusal(Exception):
    """A request that cannot even be read; answered with `status`, after which the connection is closed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def render(self, default_headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the whole response, with the headers that the server sends with every response."""
        body = self.message.encode("ascii")
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in default_headers)
        return b"%b%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (
            STATUS_LINES[self.status],
            lines,
            len(body),
            body,
        )


def is_plain(headers: Mapping[bytes, bytes], allowed_hosts: frozenset[bytes]) -> bool:
    """Tell whether a request with these headers is JSON of a stated, small length, and nothing else besides."""
    if not _NOT_PLAIN.isdisjoint(headers):
        return False
    length = headers.get(b"content-length", b"")
    if not length.isdigit() or len(length) > 5 or int(length) > LANE_BODY_BYTES:
        return False
    if headers.get(b"content-type", b"application/json") != b"application/json":
        return False
    host = headers.get(b"host")
    return host is not None and (not allowed_hosts or host in allowed_hosts)


def check_framing(target: bytes, headers: Sequence[tuple[bytes, bytes]], http_version: str) -> None:
    """Refuse requests whose end or addressee different readers could see differently (RFC 9112, 3.2 and 6.3).

    Raises:
        Refusal: the framing is ambiguous, or the headers are too long.
    """
    names = [name for name, _ in headers]
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        raise Refusal(400, "Only 'Transfer-Encoding: chunked' is understood.")
    if codings and b"content-length" in names:
        raise Refusal(400, "Content-Length and Transfer-Encoding exclude each other.")
    if names.count(b"content-length") > 1:
        raise Refusal(400, "Content-Length is given twice.")
    if names.count(b"host") > 1 or (b"host" not in names and http_version == "1.1"):
        raise Refusal(400, "Exactly one Host header is required.")
    if len(target) + sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
        raise Refusal(431, "Request headers are too large.")

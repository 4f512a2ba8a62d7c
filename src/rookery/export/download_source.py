"""One server that holds a file: asked for the rest of it, by http or https, with everything it may answer judged."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import IO, Any, cast
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit

from rookery.errors import DownloadError

REDIRECTS = 5
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What a server answers that may answer otherwise in a moment."""
RANGE_REFUSED = 416

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")


class SourceError(Exception):
    """One server fails; `is_passing` says whether it is worth asking again. The text names no address."""

    def __init__(self, reason: str, *, is_passing: bool = False) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes that a server sends, from `start` on."""

    start: int
    total: int | None
    """The whole file's bytes, where the server says."""
    validator: str
    """What names this state of the file in a later `If-Range`; empty where the server gives nothing that is exact."""
    _response: HTTPResponse

    def read(self, most: int) -> bytes:
        """Return what has arrived, up to `most` bytes; none at the end, which can be too early.

        Raises:
            SourceError: the connection was cut, or nothing came in time.
        """
        try:
            return self._response.read1(most)
        except (OSError, HTTPException) as error:
            raise _explain(error) from error


def check_address(url: str) -> str:
    """Return a URL that may be asked for.

    Raises:
        DownloadError: it is no http or https URL, or holds credentials. They are not repeated.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not re.fullmatch(r"[!-~]+", url):
        raise DownloadError("an address is no http or https URL", cure="For example https://host/folder/model.onnx")
    if "@" in parts.netloc:
        raise DownloadError(
            f"the address at {parts.hostname} holds a user's name or password",
            cure="Give it without: they are not sent",
        )
    return url


def host_of(url: str) -> str:
    """Return the part of a URL that messages may show."""
    return urlsplit(url).hostname or "?"


@contextmanager
def open_source(url: str, *, start: int, validator: str, timeout: float) -> Iterator[Body]:
    """Ask a server for a file's bytes from `start` on.

    The body can begin at 0 all the same: the server knows no ranges, the file is no longer the one that `validator`
    names, or it ends before `start`. `timeout` (seconds) bounds the wait for a connection and for each next byte.

    Raises:
        SourceError: the server answers something else, or nothing.
    """
    headers = {"User-Agent": "rookery", "Accept": "*/*", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    response = _open(Ask(url, headers=headers), timeout)
    if response is None:
        with open_source(url, start=0, validator="", timeout=timeout) as body:
            yield body
        return
    with response:
        yield _judge(response, start)


def _open(ask: Ask, timeout: float) -> HTTPResponse | None:
    """Return a server's answer of success, or None where there is nothing at the place that was asked for."""
    try:
        return cast(HTTPResponse, _opener().open(ask, timeout=timeout))
    except HTTPError as error:
        error.close()
        if error.code == RANGE_REFUSED and ask.has_header("Range"):
            return None
        raise SourceError(f"it answers {error.code}", is_passing=error.code in PASSING_STATUSES) from error
    except (OSError, HTTPException) as error:
        raise _explain(error) from error


def _judge(response: HTTPResponse, start: int) -> Body:
    """Read off the headers which bytes follow."""
    headers = response.headers
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise SourceError("it sends the file compressed")
    validator = _validator(headers)
    length = headers.get("Content-Length", "")
    promised = int(length) if re.fullmatch(r"\d{1,18}", length) else None
    if response.status == 200:
        return Body(0, promised, validator, response)
    if response.status != 206:
        raise SourceError(f"it answers {response.status}")
    place = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if place is None or int(place[1]) != start:
        raise SourceError("it sends another part of the file than was asked for")
    if place[2] != "*":
        return Body(start, int(place[2]), validator, response)
    return Body(start, None if promised is None else start + promised, validator, response)


def _validator(headers: Message) -> str:
    """Return the strong validator of an answer: an ETag that is not weak, or else the time of the last change."""
    tag = str(headers.get("ETag", ""))
    if re.fullmatch(r'"[!#-~]{1,200}"', tag):
        return tag
    when = str(headers.get("Last-Modified", ""))
    return when if re.fullmatch(r"[A-Za-z0-9,: -]{1,40}", when) else ""


def _explain(error: BaseException) -> SourceError:
    """Say in a few words why a server could not be asked; never by repeating an address."""
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, BaseException) else error
    if isinstance(cause, SourceError):
        return cause
    if isinstance(cause, ssl.SSLCertVerificationError):
        return SourceError(f"its certificate is not trusted ({cause.verify_message})")
    if isinstance(cause, TimeoutError):
        return SourceError("it does not answer in time", is_passing=True)
    if isinstance(cause, OSError) and cause.strerror:
        return SourceError(f"it cannot be reached ({cause.strerror})", is_passing=True)
    return SourceError(f"the connection breaks ({type(cause).__name__})", is_passing=True)


class Ask(request.Request):
    """A request that knows how often it was sent elsewhere."""

    hops = 0


class Redirects(request.BaseHandler):
    """Follows a few redirects to http and https, and none from https back to http.

    The standard library's own handler reads a redirect's body to its end, however long that is.
    """

    def http_error_302(self, req: Ask, fp: IO[bytes], _code: int, _msg: str, headers: Message) -> Any:
        """Open what a redirect names; urllib calls this with the answer that redirects."""
        fp.close()
        if req.hops >= REDIRECTS:
            raise SourceError(f"it redirects more than {REDIRECTS} times")
        try:
            target = check_address(urljoin(req.full_url, headers.get("Location", "")))
        except (DownloadError, ValueError) as error:
            raise SourceError("it redirects to what is no http or https address") from error
        if req.full_url.startswith("https:") and not target.startswith("https:"):
            raise SourceError("it redirects from https to http")
        onward = Ask(target, headers=dict(req.headers))
        onward.hops = req.hops + 1
        return self.parent.open(onward, timeout=req.timeout)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> request.OpenerDirector:
    """Return what opens http and https alone, through the environment's proxies: no files, no FTP, no passwords."""
    opener = request.OpenerDirector()
    handlers = (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPErrorProcessor,
        request.HTTPDefaultErrorHandler,
        request.UnknownHandler,
        Redirects,
    )
    for make in handlers:
        opener.add_handler(make())
    return opener

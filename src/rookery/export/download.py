"""`fetch`: a file from the network that is the one that was promised, or no file at all."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rookery.errors import DownloadError
from rookery.export.download_part import Part, open_part
from rookery.export.download_source import Body, SourceError, check_address, host_of, open_source

Progress = Callable[[int, int | None], None]
"""Told the bytes that are there and those expected, as they come; None where nobody knows."""

ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5
"""Doubled at each further attempt at the same server."""
TIMEOUT_SECONDS = 30.0
SLOWEST = 1_024
"""Bytes a second below which a server counts as stalled."""
CHUNK = 1 << 18
MOST_BYTES = 8 << 30
"""What is taken from a server at most where the size is not known."""


def fetch(
    url: str,
    destination: Path,
    *,
    sha256: str,
    size: int | None = None,
    mirrors: Sequence[str] = (),
    progress: Progress | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    attempts: int = ATTEMPTS,
    pause: Callable[[float], object] = time.sleep,
) -> Path:
    """Bring a file to `destination`, if its bytes have the digest `sha256`; a file that is there already stays.

    What arrives is kept in `<destination>.part` and taken up again, by the next attempt as by the next call; it
    becomes the destination in one step, once all of it was read back from the disk and its digest is right. Of
    several calls at once, one fetches and the others wait for it. Proxies are taken from the environment.

    `mirrors` are addresses of folders that hold the same file under the same name: `<mirror>/<last part of the
    URL's path>`. They are asked in their order once `url` has failed, and have no say in what the file must be.
    `timeout_seconds` bounds the wait for each next byte; `attempts` are made at each server.

    Raises:
        DownloadError: no server gave the file, or it cannot be written. Addresses are named by their host alone.
    """
    name = urlsplit(check_address(url)).path.rpartition("/")[2]
    sources = [url, *(check_address(f"{mirror.rstrip('/')}/{name}") for mirror in mirrors)]
    transfer = _Transfer(sha256, size, progress, timeout_seconds, attempts, pause)
    problems: list[str] = []
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if _is_there(destination, sha256):
            return destination
        with open_part(destination) as part:
            if _is_there(destination, sha256):
                return destination
            for source in sources:
                try:
                    transfer.complete(source, part)
                except SourceError as error:
                    problems.append(f"{host_of(source)}: {error}")
                else:
                    part.become(destination)
                    return destination
    except OSError as error:
        raise DownloadError(
            f"{destination.name} cannot be written ({error.strerror})", cure="Look at its folder"
        ) from error
    raise DownloadError(
        f"{destination.name} cannot be fetched ({'; '.join(problems)})",
        cure="Try again later (what is sound of it is kept), name a mirror, or bring the file by other means",
    )


@dataclass(frozen=True, slots=True)
class _Transfer:
    """How one file is brought over: what it must be, and with how much patience."""

    sha256: str
    size: int | None
    progress: Progress | None
    timeout: float
    attempts: int
    pause: Callable[[float], object]

    def complete(self, source: str, part: Part) -> None:
        """Ask one server until the part is the whole file; a SourceError says why it is no use."""
        if part.size and self.size in (None, part.size) and part.digest() == self.sha256:
            return
        failure, validator = SourceError("it was not asked"), ""
        for attempt in range(self.attempts):
            if attempt:
                self.pause(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            if self.size is not None and part.size >= self.size:
                part.cut(0)
            try:
                with open_source(source, start=part.size, validator=validator, timeout=self.timeout) as body:
                    validator = body.validator
                    self._receive(body, part)
            except SourceError as error:
                failure = error
                if error.is_passing:
                    continue
                raise
            found = part.digest()
            if found == self.sha256:
                return
            part.cut(0)
            failure = SourceError(f"SHA-256 {found[:12]}… instead of {self.sha256[:12]}…")
            if body.start == 0:
                # All of it came from here in one piece: the server would only send the same again.
                raise failure
        raise failure

    def _receive(self, body: Body, part: Part) -> None:
        """Write what a server sends behind what is there, and no more than was promised."""
        if None not in (self.size, body.total) and body.total != self.size:
            raise SourceError(f"it has a file of {body.total} bytes instead of {self.size}")
        part.cut(body.start)
        expected = self.size if self.size is not None else body.total
        most = MOST_BYTES if expected is None else expected
        pace = _Pace(self.timeout)
        while part.size < most and (chunk := body.read(min(CHUNK, most - part.size))):
            part.append(chunk)
            pace.check(len(chunk))
            if self.progress is not None:
                self.progress(part.size, expected)
        part.sync()
        if expected is None and part.size >= MOST_BYTES:
            part.cut(0)
            raise SourceError(f"it sends more than {MOST_BYTES} bytes")
        if expected is not None and part.size < expected:
            raise SourceError(f"the connection was cut after {part.size} of {expected} bytes", is_passing=True)


class _Pace:
    """Notices a server that sends just enough never to be silent."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._since, self._bytes = seconds, time.monotonic(), 0

    def check(self, received: int) -> None:
        self._bytes += received
        passed = time.monotonic() - self._since
        if passed < self._seconds:
            return
        if self._bytes < SLOWEST * passed:
            raise SourceError(f"it sends less than {SLOWEST} bytes a second", is_passing=True)
        self._since, self._bytes = time.monotonic(), 0


def _is_there(destination: Path, sha256: str) -> bool:
    if not destination.is_file():
        return False
    with destination.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256

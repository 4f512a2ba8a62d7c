"""Where log lines go: standard output and a rotating file, shared by all workers of a server."""

from __future__ import annotations

import fcntl
import os
import select
from pathlib import Path
from typing import Protocol


class LogSink(Protocol):
    """Takes whole lines, newline included."""

    def write(self, line: bytes) -> bool:
        """Write a line; False if it had to be dropped."""
        ...


class StreamSink:
    """Writes lines to a file descriptor, and drops them rather than wait for a reader that does not read.

    A pipe that nobody empties would otherwise stop the event loop, and with it the service.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, line: bytes) -> bool:
        """Write a line in one system call, so that lines of several processes do not mix."""
        try:
            if not any(event & select.POLLOUT for _, event in self._poll.poll(0)):
                return False
            return os.write(self._descriptor, line) == len(line)
        except OSError:
            return False


class RotatingFileSink:
    """Appends lines to a file that any number of processes share, and rotates it when it has grown to `size` bytes.

    `app.log` becomes `app.log.1`, that `app.log.2`, and so on up to `count`. Whoever meets the full file rotates it
    under a lock on `app.log.lock`; the others notice that the name leads to another file and follow.
    """

    def __init__(self, path: Path, *, size: int, count: int) -> None:
        self._path = path
        self._size = size
        self._count = count
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = self._open()

    def write(self, line: bytes) -> bool:
        """Append a line, after a rotation if the file is full."""
        try:
            status = os.fstat(self._descriptor)
            if (status.st_size and status.st_size + len(line) > self._size) or status.st_nlink == 0:
                self._rotate()
            elif not self._is_current(status):
                self._reopen()
            return os.write(self._descriptor, line) == len(line)
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _reopen(self) -> None:
        former, self._descriptor = self._descriptor, self._open()
        os.close(former)

    def _is_current(self, status: os.stat_result) -> bool:
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        return (named.st_ino, named.st_dev) == (status.st_ino, status.st_dev)

    def _rotate(self) -> None:
        lock = os.open(f"{self._path}.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_current(os.fstat(self._descriptor)):
                for number in range(self._count - 1, 0, -1):
                    older = Path(f"{self._path}.{number}")
                    if older.exists():
                        older.replace(f"{self._path}.{number + 1}")
                self._path.replace(f"{self._path}.1")
            self._reopen()
        finally:
            os.close(lock)

"""A file on its way: what has arrived of it, on disk, under a lock, until it is whole."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".part"


class Part:
    """The bytes of a file that have arrived so far; `size` counts them."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self.path = file, path
        self.size = os.fstat(file.fileno()).st_size

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes; what comes next is written behind them."""
        self._file.flush()
        self._file.truncate(size)
        self._file.seek(size)
        self.size = size

    def append(self, data: bytes) -> None:
        """Write further bytes, behind those that are there since `cut`."""
        self._file.write(data)
        self.size += len(data)

    def sync(self) -> None:
        """Return when the bytes are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def digest(self) -> str:
        """Return the SHA-256 of what lies on the disk, as 64 hexadecimal digits."""
        self._file.flush()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def become(self, destination: Path) -> None:
        """Take the destination's name, in one step that a crash does not undo."""
        self.sync()
        self.path.replace(destination)
        folder = os.open(destination.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def open_part(destination: Path) -> Iterator[Part]:
    """Hold a destination's part alone; whoever comes second waits, and then opens what is there.

    The lock is on the part's own file and ends with its holder. A part that is still empty afterwards is removed.
    """
    path = destination.with_name(destination.name + SUFFIX)
    with _open_locked(path) as file:
        part = Part(file, path)
        try:
            yield part
        finally:
            if not part.size and _is_same(file, path):
                path.unlink()


def _open_locked(path: Path) -> BinaryIO:
    while True:
        # No link is followed: it could lead anywhere.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        file = open(descriptor, "r+b")  # noqa: SIM115, PTH123 (the caller closes it)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_same(file, path):
                return file
        except BaseException:
            file.close()
            raise
        # The holder before us was done: the file that we locked has another name now.
        file.close()


def _is_same(file: BinaryIO, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat(follow_symlinks=False))
    return False

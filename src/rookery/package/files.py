"""`PackageFolder`: reading a package's files without following links or trusting their size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from rookery.errors import DigestMismatch, PackageError

PARTIAL_SUFFIX = ".partial"
"""Ends the hidden name of a folder that is being written; what a crash leaves of it is no package."""


class PackageFolder:
    """An open package folder; its files are reached through the folder's own descriptor.

    The folder's path may be a link (mounts often are), its entries may not: whoever swaps the path or an entry
    while a package is being opened gains nothing, as each file is opened once and only the bytes read are used.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if directory.name.startswith(".") and directory.name.endswith(PARTIAL_SUFFIX):
            raise PackageError(f"{directory}: was never finished", cure="Delete it")
        try:
            self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise PackageError(f"{directory}: there is no package here") from error
        except NotADirectoryError as error:
            raise PackageError(f"{directory}: a package is a folder, this is a file") from error
        except OSError as error:
            raise PackageError(f"{directory}: cannot be opened: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def names(self) -> list[str]:
        """Return the names of all entries, sorted."""
        with os.scandir(self._descriptor) as entries:
            return sorted(entry.name for entry in entries)

    def read(self, name: str, *, limit: int) -> bytes:
        """Return the bytes of a regular file of at most `limit` bytes.

        Raises:
            DigestMismatch: the file is missing, a link, or no regular file.
            PackageError: it is longer than `limit`, or cannot be read.
        """
        # O_NONBLOCK: a named pipe in the file's place must not make the server wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=self._descriptor)
        except FileNotFoundError as error:
            raise DigestMismatch(f"{name}: the package lacks this file") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise DigestMismatch(
                    f"{name}: is a symbolic link", cure="Packages hold plain files only: copy the file itself"
                ) from error
            raise PackageError(f"{name}: cannot be read: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DigestMismatch(f"{name}: is no regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise PackageError(f"{name}: cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)
        if len(data) > limit:
            raise PackageError(f"{name}: is longer than the {limit} bytes it may have")
        return data


def read_package_file(directory: Path, name: str, *, limit: int) -> bytes:
    """Return one file of a package; see `PackageFolder.read`."""
    with PackageFolder(directory) as folder:
        return folder.read(name, limit=limit)

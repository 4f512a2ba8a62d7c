"""One version as one file: `export_version` writes it, `import_version` registers it elsewhere.

The file is a tar (gzipped when its name says so) of one folder with a package's files and nothing else. Equal
packages make equal bytes. Reading trusts nothing: only plain files with the names and sizes that a package may have
are written, and the package proves itself before it is registered.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from rookery.errors import PackageError, RegistryError
from rookery.package.manifest import MANIFEST_BYTES, MANIFEST_FILE
from rookery.package.opener import FILE_LIMITS
from rookery.registry.base import ModelVersion, Registry
from rookery.registry.facts import prove_package

FOLDER = "package"
LIMITS = {MANIFEST_FILE: MANIFEST_BYTES, **FILE_LIMITS}
BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 20
MOST_ENTRIES = 2 * len(LIMITS)
GZIP_MAGIC = b"\x1f\x8b"


def export_version(registry: Registry, service: str, version: str, target: Path) -> Path:
    """Write a version (by number or alias), verified, to a file that is not there yet; return it.

    `.gz` and `.tgz` are compressed, `.tar` is not.

    Raises:
        VersionNotFound: there is no such version.
        PackageError: the registry's copy of it does not open.
        RegistryError: the file exists, has another ending, or cannot be written.
    """
    if target.suffix not in (".tar", ".gz", ".tgz"):
        raise RegistryError(f"{target.name}: this is no name for an archive", cure="End it with .tar, .tar.gz or .tgz")
    if os.path.lexists(target):
        raise RegistryError(f"{target} is there already", cure="Name a file that is not")
    found = registry.version(service, version)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.absolute().parent) as temporary:
            folder = registry.download(service, found.version, Path(temporary) / FOLDER)
            prove_package(folder)
            written = Path(temporary) / "archive"
            with written.open("xb") as file:
                _write_archive(folder, file, compress=target.suffix != ".tar")
                file.flush()
                os.fsync(file.fileno())
            written.rename(target)
    except OSError as error:
        raise RegistryError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def import_version(registry: Registry, archive: Path) -> ModelVersion:
    """Register the package in an archive as its service's next version.

    Raises:
        PackageError: the file is no archive of a package, or the package does not open.
    """
    with tempfile.TemporaryDirectory(prefix="rookery-import-") as temporary:
        return registry.register(extract_package(archive, Path(temporary) / FOLDER))


def extract_package(archive: Path, destination: Path) -> Path:
    """Write an archive's files to a folder that is not there yet, and return it; nothing is verified but the names.

    Raises:
        PackageError: the file is no archive of a package.
    """
    try:
        destination.mkdir(parents=True)
        with archive.open("rb") as file:
            packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if packed else file
            _extract(cast(BinaryIO, stream), destination, archive.name)
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.HeaderError, UnicodeDecodeError) as error:
        raise PackageError(f"{archive.name}: is no archive, or is damaged: {error}", cure="Export it again") from error
    except OSError as error:
        raise PackageError(f"{archive.name}: cannot be read: {error.strerror or error}") from error
    return destination


def _write_archive(folder: Path, file: IO[bytes], *, compress: bool) -> None:
    """Write every file of a package in one form: sorted, without times, owners or the machine's modes."""
    # Compressed by hand: what tarfile would write itself holds the time of day.
    packer = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) if compress else None
    with tarfile.open(fileobj=packer or file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folder.iterdir()):
            entry = tarfile.TarInfo(f"{FOLDER}/{path.name}")
            entry.size = path.stat().st_size
            with path.open("rb") as source:
                tar.addfile(entry, source)
    if packer is not None:
        packer.close()


def _extract(stream: BinaryIO, destination: Path, archive: str) -> None:
    """Write the files of a tar stream.

    Headers are read one by one rather than by `TarFile`, which follows extended headers, sparse maps and links,
    and skips over what it does not extract: all that a hostile file needs.
    """
    for _ in range(MOST_ENTRIES):
        header = _read_exactly(stream, BLOCK, archive)
        if not header.strip(b"\0"):
            return
        entry = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        if entry.isdir() and entry.size == 0:
            continue
        name = _check_entry(entry, archive)
        if (destination / name).exists():
            raise PackageError(f"{archive}: holds {name} twice", cure="Export it again")
        with (destination / name).open("xb") as file:
            _copy_exactly(stream, file, entry.size, archive)
        _read_exactly(stream, -entry.size % BLOCK, archive)
    raise PackageError(f"{archive}: holds more files than a package has", cure="Export it again")


def _check_entry(entry: tarfile.TarInfo, archive: str) -> str:
    """Return the name of a package's file; anything else is refused."""
    path = PurePosixPath(entry.name)
    shown = entry.name[:100]
    if path.is_absolute() or ".." in path.parts or len(path.parts) > 2:
        raise PackageError(f"{archive}: {shown!r} lies outside the package's folder", cure="Do not trust this archive")
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise PackageError(f"{archive}: {shown!r} is no plain file", cure="Make the archive with `rookery export`")
    if path.name not in LIMITS:
        raise PackageError(f"{archive}: {shown!r} is no file of a package", cure="Make it with `rookery export`")
    if not 0 <= entry.size <= LIMITS[path.name]:
        raise PackageError(f"{archive}: {shown!r} has {entry.size} bytes, at most {LIMITS[path.name]} are read")
    return path.name


def _read_exactly(stream: BinaryIO, size: int, archive: str) -> bytes:
    data = io.BytesIO()
    _copy_exactly(stream, data, size, archive)
    return data.getvalue()


def _copy_exactly(stream: BinaryIO, target: IO[bytes], size: int, archive: str) -> None:
    while size > 0:
        chunk = stream.read(min(size, CHUNK))
        if not chunk:
            raise PackageError(f"{archive}: ends in the middle of a file", cure="Export or copy it again")
        target.write(chunk)
        size -= len(chunk)

"""TIFF directories, the tables of tags that TIFF files are made of and that EXIF data are: read within bounds."""

from __future__ import annotations

import struct
from dataclasses import dataclass

ORIENTATION = 274

MOST_TAGS = 512
"""Tags of one directory; cameras write some fifty."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value of each type."""
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
"""How `struct` spells the types of whole numbers."""


class BadDirectory(ValueError):
    """A directory that cannot be followed; never leaves this folder."""


@dataclass(frozen=True, slots=True)
class TiffForm:
    """How a TIFF writes its numbers: byte order, and the widths of classic or big files."""

    order: str
    is_big: bool

    @property
    def entry(self) -> struct.Struct:
        """Tag, type, number of values, and the values themselves or where they lie."""
        return struct.Struct(f"{self.order}HH{'Q8s' if self.is_big else 'I4s'}")

    @property
    def offset(self) -> struct.Struct:
        """A position in the file."""
        return struct.Struct(f"{self.order}{'Q' if self.is_big else 'I'}")

    @property
    def count(self) -> struct.Struct:
        """The number of tags of a directory."""
        return struct.Struct(f"{self.order}{'Q' if self.is_big else 'H'}")


@dataclass(frozen=True, slots=True)
class Directory:
    """One table of tags."""

    tags: dict[int, tuple[int, ...]]
    """The first values, at most four, of each tag that holds whole numbers."""
    volume: int
    """Bytes that all values together claim; more than the file has where several claim the same bytes."""
    next: int
    """Where the next directory lies, or 0."""


def open_tiff(data: bytes) -> tuple[TiffForm, int]:
    """Return a TIFF's form and where its first directory lies.

    Raises:
        BadDirectory: it is no TIFF.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        raise BadDirectory
    magic = struct.unpack_from(f"{order}H", data, 2)[0]
    if magic == 42:
        return TiffForm(order, is_big=False), struct.unpack_from(f"{order}I", data, 4)[0]
    if magic == 43 and len(data) >= 16:
        return TiffForm(order, is_big=True), struct.unpack_from(f"{order}Q", data, 8)[0]
    raise BadDirectory


def read_directory(data: bytes, form: TiffForm, position: int) -> Directory:
    """Read one directory.

    Raises:
        BadDirectory: it lies outside the file or has more than `MOST_TAGS` tags.
    """
    try:
        tag_count = form.count.unpack_from(data, position)[0] if position < len(data) else 0
        if not 1 <= tag_count <= MOST_TAGS:
            raise BadDirectory
        start = position + form.count.size
        end = start + tag_count * form.entry.size
        tags, volume = {}, 0
        for tag, kind, count, raw in form.entry.iter_unpack(data[start:end]):
            volume += count * _SIZES.get(kind, 1)
            if kind in _CODES:
                tags[tag] = _read_values(data, form, kind, count, raw)
        return Directory(tags, volume, form.offset.unpack_from(data, end)[0])
    except struct.error as error:
        raise BadDirectory from error


def _read_values(data: bytes, form: TiffForm, kind: int, count: int, raw: bytes) -> tuple[int, ...]:
    """Return the first values of a tag; they lie elsewhere if they do not fit into the table."""
    layout = struct.Struct(f"{form.order}{min(count, 4)}{_CODES[kind]}")
    if count * _SIZES[kind] <= len(raw):
        return layout.unpack_from(raw)
    position = form.offset.unpack(raw)[0]
    return layout.unpack_from(data, position) if position < len(data) else ()


def read_orientation(exif: bytes) -> int:
    """Return EXIF's orientation, 1 to 8; 1 (upright) where there is none or the data make no sense.

    Args:
        exif: the data behind their `Exif` heading, or with it.
    """
    data = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    try:
        form, position = open_tiff(data)
        values = read_directory(data, form, position).tags.get(ORIENTATION, ())
    except BadDirectory:
        return 1
    return values[0] if values and 1 <= values[0] <= 8 else 1

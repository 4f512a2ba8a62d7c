"""The size of a JPEG, PNG or WebP and how it lies, read from the few bytes that say so.

Each reader follows the lengths that a file gives for its parts, at most `MOST_PARTS` of them: a file that is made
to keep a reader busy is refused instead.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from rookery.errors import InvalidPicture
from rookery.fields.pictures.exif import read_orientation

MOST_PARTS = 1_024
"""Segments or chunks that are followed; a picture has some ten before its pixels."""

_LONGEST_GAP = 4_096
_LONGEST_EXIF = 65_536
_JPEG_MARKER = re.compile(rb"\xff[^\xff\0]")
_JPEG_FRAMES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC9: "extended", 0xCA: "progressive"}
_JPEG_RARE_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} - set(_JPEG_FRAMES)
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture as it is stored, before it is turned upright."""

    width: int
    height: int
    mode: str
    """`L`, `I;16` (grey of 16 bits), `1`, `LA`, `P`, `RGB`, `RGBA`, `CMYK`, …"""
    orientation: int = 1
    """EXIF's number, 1 to 8; 5 to 8 swap width and height."""
    is_progressive: bool = False
    """A JPEG that is stored in several scans."""


def ends_early() -> InvalidPicture:
    """Return the error of a file whose end is missing."""
    return InvalidPicture("the file ends early", cure="Send it again, whole")


def is_damaged() -> InvalidPicture:
    """Return the error of a file that breaks the rules of its format."""
    return InvalidPicture("the file is damaged", cure="Save the picture anew and send that")


def read_jpeg(data: bytes) -> Layout:
    """Read a JPEG's markers up to its first scan.

    Raises:
        InvalidPicture: it ends early, is damaged or of a kind that is not read.
    """
    frame: Layout | None = None
    orientation, position = 0, 2
    for _ in range(MOST_PARTS):
        found = _JPEG_MARKER.search(data, position, position + _LONGEST_GAP)
        if found is None:
            raise is_damaged() if position + _LONGEST_GAP < len(data) else ends_early()
        marker, position = data[found.end() - 1], found.end()
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        if marker == 0xD9 or position + 2 > len(data):
            raise ends_early()
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2:
            raise is_damaged()
        if position + length > len(data):
            raise ends_early()
        if marker == 0xDA:
            if frame is None:
                raise is_damaged()
            return Layout(frame.width, frame.height, frame.mode, orientation or 1, frame.is_progressive)
        if marker in _JPEG_FRAMES or marker in _JPEG_RARE_FRAMES:
            frame = _read_jpeg_frame(marker, data[position + 2 : position + length])
        elif marker == 0xE1 and not orientation and data.startswith(b"Exif\0", position + 2):
            orientation = read_orientation(data[position + 8 : position + length])
        position += length
    raise is_damaged()


def _read_jpeg_frame(marker: int, frame: bytes) -> Layout:
    if len(frame) < 6:
        raise is_damaged()
    bits, height, width, components = struct.unpack_from(">BHHB", frame)
    if marker in _JPEG_RARE_FRAMES or components not in _JPEG_MODES:
        raise InvalidPicture("this kind of JPEG is not read", cure="Save it as a baseline or progressive JPEG")
    if bits != 8:
        raise InvalidPicture(f"this JPEG has {bits} bits per sample", cure="Save it with 8 bits")
    return Layout(width, height, _JPEG_MODES[components], is_progressive=_JPEG_FRAMES[marker] == "progressive")


def read_png(data: bytes) -> Layout:
    """Read a PNG's header and, among the chunks behind it, whether it moves and how it lies.

    Raises:
        InvalidPicture: it ends early, is damaged or animated.
    """
    if len(data) < 33:
        raise ends_early()
    length, kind, width, height, bits, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if kind != b"IHDR" or length != 13 or colour not in _PNG_MODES or bits not in (1, 2, 4, 8, 16):
        raise is_damaged()
    mode = _PNG_MODES[colour]
    if colour == 0 and bits in (1, 16):
        mode = "1" if bits == 1 else "I;16"
    orientation, has_pixels, position = 1, False, 33
    for _ in range(MOST_PARTS):
        if position + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"acTL":
            raise InvalidPicture("this PNG is animated", cure="Send one still picture")
        if kind == b"eXIf":
            orientation = read_orientation(data[position + 8 : position + 8 + min(length, _LONGEST_EXIF)])
        if kind == b"IEND":
            break
        has_pixels = has_pixels or kind == b"IDAT"
        position += length + 12
    else:
        # Very many chunks of pixels are a large picture; very many of anything else are a trap.
        if not has_pixels:
            raise is_damaged()
    if not has_pixels:
        raise ends_early()
    return Layout(width, height, mode, orientation)


def read_webp(data: bytes) -> Layout:
    """Read a WebP's first chunk and, if it announces EXIF, the chunks behind it.

    Raises:
        InvalidPicture: it ends early, is damaged or animated.
    """
    if len(data) < 30 or int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise ends_early()
    kind = data[12:16]
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise is_damaged()
        width, height = struct.unpack_from("<HH", data, 26)
        return Layout(width & 0x3FFF, height & 0x3FFF, "RGB")
    if kind == b"VP8L":
        if data[20] != 0x2F:
            raise is_damaged()
        bits = int.from_bytes(data[21:25], "little")
        return Layout((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, "RGBA" if bits >> 28 & 1 else "RGB")
    if kind != b"VP8X":
        raise is_damaged()
    flags = data[20]
    if flags & 0x02:
        raise InvalidPicture("this WebP is animated", cure="Send one still picture")
    width, height = int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    orientation = _find_webp_orientation(data) if flags & 0x08 else 1
    return Layout(width, height, "RGBA" if flags & 0x10 else "RGB", orientation)


def _find_webp_orientation(data: bytes) -> int:
    position = 12
    for _ in range(MOST_PARTS):
        if position + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            return read_orientation(data[position + 8 : position + 8 + min(length, _LONGEST_EXIF)])
        position += 8 + length + (length & 1)
    return 1

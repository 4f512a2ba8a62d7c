"""The size of a TIFF and how it lies, and whether it is safe to hand to a decoder."""

from __future__ import annotations

from collections.abc import Iterator

from rookery.errors import InvalidPicture
from rookery.fields.pictures.exif import ORIENTATION, BadDirectory, Directory, TiffForm, open_tiff, read_directory
from rookery.fields.pictures.layouts import Layout, is_damaged

_SUBFILE = 254
_WIDTH = 256
_HEIGHT = 257
_BITS = 258
_COLOURS = 262
_SAMPLES = 277
_TILE_WIDTH = 322
_TILE_HEIGHT = 323
_SAMPLE_FORMAT = 339
_SUB_DIRECTORIES = (34665, 34853, 40965)
"""EXIF, GPS and interoperability: decoders follow these on their own account."""
_MOST_DIRECTORIES = 16
_REDUCED_OR_MASK = 0b101
"""Bits of the subfile type: a smaller copy of the first picture, or its mask. Neither is a page."""
_MODES = {2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr", 8: "LAB"}


def read_tiff(data: bytes, max_pixels: int) -> Layout:
    """Read a TIFF's directories.

    Args:
        data: the file.
        max_pixels: of one tile, which a decoder takes memory for as a whole.

    Raises:
        InvalidPicture: it ends early, is damaged, has several pages or tiles that are too large.
    """
    try:
        form, position = open_tiff(data)
        first, *others = _directories(data, form, position)
        _check_sub_directories(data, form, first)
    except BadDirectory as error:
        raise is_damaged() from error
    if any(not _value(other, _SUBFILE, 0) & _REDUCED_OR_MASK for other in others):
        raise InvalidPicture("this TIFF has several pages", cure="Send one page at a time")
    if _value(first, _TILE_WIDTH, 0) * _value(first, _TILE_HEIGHT, 0) > max_pixels:
        raise is_damaged()
    orientation = _value(first, ORIENTATION, 1)
    return Layout(
        _value(first, _WIDTH, 0),
        _value(first, _HEIGHT, 0),
        _find_mode(first),
        orientation if 1 <= orientation <= 8 else 1,
    )


def _directories(data: bytes, form: TiffForm, position: int) -> Iterator[Directory]:
    """Yield the chain of directories; values that overlap are refused, as they multiply a small file's size."""
    for _ in range(_MOST_DIRECTORIES):
        directory = read_directory(data, form, position)
        if directory.volume > len(data):
            raise BadDirectory
        yield directory
        position = directory.next
        if not position:
            return
    raise BadDirectory


def _check_sub_directories(data: bytes, form: TiffForm, first: Directory) -> None:
    waiting = [first]
    while waiting:
        tags = waiting.pop().tags
        for tag in _SUB_DIRECTORIES:
            if tags.get(tag):
                directory = read_directory(data, form, tags[tag][0])
                if directory.volume > len(data):
                    raise BadDirectory
                # Only the first level leads on: a directory may name itself.
                waiting += [directory] if tags is first.tags else []


def _value(directory: Directory, tag: int, default: int) -> int:
    values = directory.tags.get(tag)
    return values[0] if values else default


def _find_mode(directory: Directory) -> str:
    colours, samples = _value(directory, _COLOURS, 1), _value(directory, _SAMPLES, 1)
    if colours in _MODES:
        return "RGBA" if colours == 2 and samples == 4 else _MODES[colours]
    if samples > 1:
        return "LA"
    bits, sample_format = _value(directory, _BITS, 1), _value(directory, _SAMPLE_FORMAT, 1)
    return {1: "1", 16: "I;16", 32: "F" if sample_format == 3 else "I"}.get(bits, "L")

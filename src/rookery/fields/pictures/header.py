"""The envelope of a picture: what it is and how large, known before a single pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from rookery.errors import InvalidPicture
from rookery.fields.pictures.layouts import Layout, ends_early, read_jpeg, read_png, read_webp
from rookery.fields.pictures.signatures import describe_file, find_format
from rookery.fields.pictures.spec import READABLE, Image
from rookery.fields.pictures.tiff import read_tiff

_SHORTEST_FILE = 24
"""Bytes; no picture of any readable format is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHeader:
    """A picture that is worth decoding: its format is taken, its pixels are within the limit."""

    format: str
    """`JPEG`, `PNG`, `WEBP` or `TIFF`."""
    width: int
    """As a person sees the picture: turned upright by its EXIF orientation."""
    height: int
    mode: str
    """How pixels are stored: `L`, `I;16` (grey of 16 bits), `1`, `LA`, `P`, `RGB`, `RGBA`, `CMYK`, …"""
    orientation: int = 1
    """EXIF's number, 1 to 8: how the stored pixels must be turned or mirrored."""
    is_progressive: bool = False
    """A JPEG that is stored in several scans."""

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) before the picture is turned upright."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(data: bytes, spec: Image) -> PictureHeader:
    """Tell what a file is, by its content alone, and refuse what must not be decoded.

    Takes microseconds, whatever the file holds, and decodes no pixels. Of EXIF only the orientation is read;
    an orientation in XMP is not heeded, as browsers do not either. Pictures of several frames or pages are refused:
    an answer about one of them would pass for an answer about all.

    Args:
        data: the file; the caller has limited its length.
        spec: which formats and how many pixels are taken.

    Raises:
        InvalidPicture: the file is none of the formats, damaged where its header is, animated or too large.
    """
    name = _find_accepted_format(data, spec)
    layout = _read_layout(name, data, spec)
    if min(layout.width, layout.height) < 1:
        raise InvalidPicture(f"the picture has no pixels: it is {layout.width:,} x {layout.height:,}")
    if layout.width * layout.height > spec.max_pixels:
        raise InvalidPicture(
            f"the picture has {layout.width:,} x {layout.height:,} = {layout.width * layout.height:,} pixels, "
            f"above the limit of {spec.max_pixels:,}",
            cure="Send it smaller",
        )
    is_turned = layout.orientation >= 5
    return PictureHeader(
        format=name,
        width=layout.height if is_turned else layout.width,
        height=layout.width if is_turned else layout.height,
        mode=layout.mode,
        orientation=layout.orientation,
        is_progressive=layout.is_progressive,
    )


def _find_accepted_format(data: bytes, spec: Image) -> str:
    cure = f"Send {spec.accepted}"
    if not data:
        raise InvalidPicture("the file is empty", cure=cure)
    name = find_format(data)
    if name in spec.formats:
        if len(data) < _SHORTEST_FILE:
            raise ends_early()
        return name
    description = f"a {READABLE[name]} file" if name else describe_file(data)
    if description:
        raise InvalidPicture(f"this is {description}", cure=cure)
    if len(data) < _SHORTEST_FILE:
        raise InvalidPicture(f"the file has {len(data)} bytes, too few for a picture", cure=cure)
    raise InvalidPicture("the file is no picture", cure=cure)


def _read_layout(name: str, data: bytes, spec: Image) -> Layout:
    if name == "JPEG":
        return read_jpeg(data)
    if name == "PNG":
        return read_png(data)
    return read_webp(data) if name == "WEBP" else read_tiff(data, spec.max_pixels)

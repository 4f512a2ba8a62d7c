"""JPEG pictures through libjpeg-turbo: four times faster than elsewhere, and without holding the interpreter's lock."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import simplejpeg

from rookery.errors import InvalidPicture
from rookery.fields.pictures.header import PictureHeader
from rookery.fields.pictures.layouts import ends_early, is_damaged
from rookery.fields.pictures.spec import Mode

Pixels = npt.NDArray[np.uint8]

MOST_SCANS = 100
"""Scans of a progressive JPEG; writers make about ten. Each costs as much as decoding the whole picture once."""

_FACTORS = (8, 4, 2)
"""Scales of the inverse DCT that are fast; those in between take longer than none at all."""
_SMALLEST_SIDE = 16
"""Pixels below which two scales can round to the same size."""
_HARMLESS = ("extraneous bytes", "JFIF revision", "color transform code", "SOS parameters")
"""What the decoder warns of although every pixel is there."""
_UNREAD = ("subsampling", "olorspace")
"""What this decoder cannot do and another might."""


def find_factor(header: PictureHeader, at_least: tuple[int, int] | None) -> int:
    """Return by how much a JPEG may be shrunk while it is decoded: 1, 2, 4 or 8.

    Args:
        header: the picture's.
        at_least: (width, height), upright, that must remain; None for the full size.
    """
    if header.format != "JPEG" or at_least is None:
        return 1
    width, height = (max(side, _SMALLEST_SIDE) for side in at_least)
    return next((f for f in _FACTORS if header.width // f >= width and header.height // f >= height), 1)


def decode_jpeg(data: bytes, header: PictureHeader, mode: Mode, factor: int) -> Pixels | None:
    """Return a JPEG's pixels as they are stored, not turned upright, or None if another decoder must try.

    Upsampling of colours and the DCT are the accurate ones, so that the pixels equal Pillow's. Grey is the
    brightness that the file itself holds.

    Returns:
        uint8 [height, width, 3] for `RGB`, [height, width] for `L`; CMYK becomes [height, width, 4] in both.

    Raises:
        InvalidPicture: the file ends early or is damaged.
    """
    if header.is_progressive and data.count(b"\xff\xda") > MOST_SCANS:
        raise InvalidPicture(f"this JPEG has more than {MOST_SCANS} scans", cure="Save it as a baseline JPEG")
    try:
        return _decode(data, header, mode, factor, is_strict=True)
    except KeyError:
        return None  # what it raises for one of the rare subsamplings, 4:4:1
    except ValueError as error:
        text = str(error)
        if "remature end" in text:
            raise ends_early() from error
        if any(part in text for part in _UNREAD):
            return None
        if not any(part in text for part in _HARMLESS):
            raise is_damaged() from error
    try:
        return _decode(data, header, mode, factor, is_strict=False)
    except ValueError as error:
        raise is_damaged() from error


def _decode(data: bytes, header: PictureHeader, mode: Mode, factor: int, *, is_strict: bool) -> Pixels:
    width, height = header.stored_size
    if simplejpeg.decode_jpeg_header(data, strict=is_strict)[:2] != (height, width):
        raise is_damaged()
    colourspace: Literal["CMYK", "GRAY", "RGB"] = "RGB" if mode == "RGB" else "GRAY"
    pixels: Pixels = simplejpeg.decode_jpeg(
        data,
        colorspace="CMYK" if header.mode == "CMYK" else colourspace,
        fastdct=False,
        fastupsample=False,
        min_width=-(-width // factor),
        min_height=-(-height // factor),
        strict=is_strict,
    )
    return pixels if pixels.shape[-1] != 1 else pixels[..., 0]

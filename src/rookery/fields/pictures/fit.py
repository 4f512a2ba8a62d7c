"""From a picture to the array that a model reads: cropped, traced, or as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from rookery.errors import DataError
from rookery.fields.pictures.decode import decode_image, decode_picture
from rookery.fields.pictures.header import PictureHeader
from rookery.fields.pictures.jpeg import find_factor
from rookery.fields.pictures.spec import Image
from rookery.fields.pictures.trace import trace_drawing

Pixels = npt.NDArray[np.uint8]

OVERSIZE = 2
"""A JPEG is shrunk while it is decoded only so far that it stays this many times larger than it will be resized to."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """What a picture is resized to, and the part of it that is kept."""

    width: int
    height: int
    left: int
    top: int


def prepare_picture(data: bytes, header: PictureHeader, spec: Image) -> Pixels:
    """Return the array that a model reads for a picture; safe to call from several threads at once.

    A large JPEG is shrunk in part while it is decoded. The values then differ from those of a full decode by less
    than 1 of 255 in the mean.

    Args:
        data: the file.
        header: what `read_header` returned for the same file and declaration.
        spec: the declaration.

    Returns:
        uint8 [height, width, channels]: `spec.shape`, or the picture's own size where that is None. It may be
        read-only.

    Raises:
        InvalidPicture: the file ends early, is damaged, or nothing is drawn on it.
    """
    if spec.shape is None:
        return _with_channels(decode_picture(data, header, spec))
    if spec.fit == "trace":
        return _trace(decode_image(data, header, spec), spec)
    cut = _plan_cut(header.width, header.height, spec)
    enough = OVERSIZE * cut.width, OVERSIZE * cut.height
    image = decode_image(data, header, spec, at_least=enough)
    factor = find_factor(header, enough)
    return _crop(image, cut, spec, scale=(header.width / factor, header.height / factor))


def prepare_array(pixels: npt.NDArray[Any], spec: Image) -> Pixels:
    """Return the array that a model reads for pixels that are decoded already.

    Args:
        pixels: uint8 [height, width, 3], RGB, or [height, width], grey.
        spec: the declaration.

    Returns:
        uint8 [height, width, channels], as `prepare_picture`.

    Raises:
        DataError: the pixels have another type or shape.
        InvalidPicture: nothing is drawn on it.
    """
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not is_picture or not pixels.size:
        raise DataError(
            f"an array of {pixels.dtype} {list(pixels.shape)} is no picture",
            cure="Give uint8 [height, width, 3] or [height, width]",
        )
    image = Pillow.fromarray(pixels)
    image = image if image.mode == spec.mode else image.convert(spec.mode)
    if spec.shape is None:
        return _with_channels(np.asarray(image))
    if spec.fit == "trace":
        return _trace(image, spec)
    return _crop(image, _plan_cut(*image.size, spec), spec, scale=image.size)


def _plan_cut(width: int, height: int, spec: Image) -> _Cut:
    """Return the resized picture's size and the centre's corner, rounded as torchvision's transforms round them."""
    assert spec.width is not None
    assert spec.height is not None
    side = spec.shorter_side or max(spec.width, spec.height)
    shorter = min(width, height)
    resized_width, resized_height = side * width // shorter, side * height // shorter
    return _Cut(
        resized_width,
        resized_height,
        left=round((resized_width - spec.width) / 2),
        top=round((resized_height - spec.height) / 2),
    )


def _crop(image: Pillow.Image, cut: _Cut, spec: Image, *, scale: tuple[float, float]) -> Pixels:
    """Resize only the part that is kept; its filter still sees the pixels around it.

    Args:
        image: the picture.
        cut: what to make of it.
        spec: the declaration.
        scale: the picture's exact size in the image's pixels; a decoder that shrinks rounds up to whole pixels.
    """
    assert spec.width is not None
    assert spec.height is not None
    across, down = scale[0] / cut.width, scale[1] / cut.height
    box = (
        cut.left * across,
        cut.top * down,
        min((cut.left + spec.width) * across, image.width),
        min((cut.top + spec.height) * down, image.height),
    )
    resized = image.resize((spec.width, spec.height), Pillow.Resampling.BILINEAR, box=box)
    return _with_channels(np.array(resized))


def _trace(image: Pillow.Image, spec: Image) -> Pixels:
    assert spec.width is not None
    assert spec.height is not None
    return _with_channels(trace_drawing(image, width=spec.width, height=spec.height))


def _with_channels(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]

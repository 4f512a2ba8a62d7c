"""Golden pictures: generated ones, so that a package proves itself without holding a single photograph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rookery.errors import GoldenMismatch, InvalidPicture, PackageError
from rookery.fields.pictures.generated import generate_picture
from rookery.fields.pictures.libraries import INSTALL_IMAGES, missing_libraries
from rookery.fields.schema import PictureField

if TYPE_CHECKING:
    from rookery.package.golden import GoldenCase

Pixels = npt.NDArray[np.uint8]

LONGEST_SIDE = 4_096
"""Pixels of a golden picture's side: a case of an untrusted package must not ask for gigabytes."""
SIZES = ((320, 240), (256, 256), (200, 300), (640, 480))
"""Width and height of golden pictures, in turns: wide, square, high and larger ones."""


def describe_golden(number: int) -> dict[str, Any]:
    """Return the input of the golden case `number`: the generated picture's number, width and height."""
    width, height = SIZES[number % len(SIZES)]
    return {"generated": number, "width": width, "height": height}


def draw_golden(case: GoldenCase, number: int) -> Pixels:
    """Return a case's picture, uint8 [height, width, 3]; `number` is the case's, for messages.

    Raises:
        GoldenMismatch: the case does not describe a picture.
    """
    values = [case.input.get(name) for name in ("generated", "width", "height")]
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool) and value >= 0]
    if len(numbers) < 3 or not 0 < max(numbers[1:]) <= LONGEST_SIDE or not min(numbers[1:]):
        raise GoldenMismatch(f"golden.jsonl: case {number} describes no generated picture")
    return generate_picture(numbers[0], width=numbers[1], height=numbers[2])


def fit_golden(case: GoldenCase, number: int, picture: PictureField) -> Pixels:
    """Return a case's picture as the service's model reads it, uint8 [height, width, channels].

    Raises:
        GoldenMismatch: the case does not describe a picture, or one that the service would refuse.
        PackageError: what reads pictures is not installed.
    """
    missing = missing_libraries()
    if missing:
        raise PackageError(f"pictures cannot be read: {missing} here", cure=INSTALL_IMAGES)
    from rookery.fields.pictures.fit import prepare_array  # needs Pillow, which only picture services have

    try:
        return prepare_array(draw_golden(case, number), picture.image)
    except InvalidPicture as error:
        raise GoldenMismatch(f"golden.jsonl: case {number}: {error.message}") from error

"""A drawn digit or letter, normalised as the digits of UCI and NIST are: bright ink that fills the height."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageFilter

from rookery.errors import InvalidPicture
from rookery.fields.pictures.strokes import even_out, keep_strokes

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_SIDE = 256
"""Pixels of the longer side that a drawing is looked at with: enough for thin strokes, quick for large photographs."""
_GRID = 8
"""Points along a pixel of the answer, where ink is there or not; a pixel's value is its share of them."""
_LEAST_CONTRAST = 32
"""Of 255, between ink and paper; noise and the grain of paper stay below."""
_BLOCKS = 8
_WIDEST = 0.75
"""Share of the width that ink takes at most: the UCI digits leave the outer columns nearly empty."""
_SQUEEZE = 2.0
"""How much wider a drawing is narrowed rather than lowered; the UCI digits all have the full height."""


def trace_drawing(image: Pillow.Image, *, width: int, height: int) -> Pixels:
    """Return a drawing as the UCI digits are made: centred, of full height, of even strokes, area-averaged.

    Ink may be dark on light or light on dark, thick or thin, anywhere on the picture; specks are dropped.

    Args:
        image: of mode `L`.
        width: of the answer, in pixels.
        height: of the answer.

    Returns:
        uint8 [height, width]: 0 where there is no ink, 255 where a pixel is full of it.

    Raises:
        InvalidPicture: nothing is drawn on it.
    """
    ink, strokes = _find_ink(image)
    box = _box(strokes)
    if max(box[2] - box[0], box[3] - box[1]) < _SIDE // 2:
        ink, strokes = _find_ink(_step_closer(image, box))
        box = _box(strokes)
    ink[~_grow_over(strokes)] = 0
    drawing = Pillow.fromarray(ink).crop(box)
    mask = np.asarray(drawing.resize(_fit(drawing.size, width, height), Pillow.Resampling.BILINEAR)) >= 128
    return _settle(even_out(mask, lambda size: _fit(size, width, height), width * height * _GRID**2), width, height)


def _step_closer(image: Pillow.Image, box: tuple[int, int, int, int]) -> Pillow.Image:
    """Return the part of a picture that a small drawing is in, with a margin, which paper is known by."""
    scale = max(image.size) / _SIDE
    margin = max(box[2] - box[0], box[3] - box[1]) // 3
    left, top = max(0, round((box[0] - margin) * scale)), max(0, round((box[1] - margin) * scale))
    right, bottom = round((box[2] + margin) * scale), round((box[3] + margin) * scale)
    return image.crop((left, top, min(right, image.width), min(bottom, image.height)))


def _find_ink(image: Pillow.Image) -> tuple[Pixels, Mask]:
    """Return how much ink there is, 0 to 255 where 128 is a stroke's edge, and which strokes are no specks."""
    longer = max(image.size)
    size = (max(1, image.width * _SIDE // longer), max(1, image.height * _SIDE // longer))
    grey = np.asarray(image.resize(size, Pillow.Resampling.BOX if longer > _SIDE else Pillow.Resampling.BILINEAR))
    darkness = _measure_darkness(grey if _is_paper_bright(grey) else 255 - grey)
    smooth = np.asarray(Pillow.fromarray(darkness).filter(ImageFilter.BoxBlur(1)))
    contrast = int(smooth.max())
    if contrast < _LEAST_CONTRAST:
        raise _is_blank()
    level = float(np.median(smooth[smooth >= contrast / 2]))
    ink = np.clip(darkness * (255 / level), 0, 255).astype(np.uint8)
    strokes = keep_strokes(ink >= 128)
    if strokes is None:
        raise _is_blank()
    return ink, strokes


def _is_blank() -> InvalidPicture:
    return InvalidPicture("nothing is drawn on it", cure="Draw with a dark pen on light paper, or light on dark")


def _is_paper_bright(grey: Pixels) -> bool:
    """Tell whether the larger part is bright, of the picture and of its edge; ink seldom reaches the edge."""
    middle = (int(grey.min()) + int(grey.max())) / 2
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return bool((grey > middle).mean() + (edge > middle).mean() > 1)


def _measure_darkness(grey: Pixels) -> Pixels:
    """Return how much darker than the paper around it each pixel is: shadows and uneven light are no ink."""
    height, width = grey.shape
    rows, columns = (np.linspace(0, side, min(_BLOCKS, side) + 1).astype(int) for side in (height, width))
    brightness = [
        [np.percentile(grey[top:bottom, left:right], 90) for left, right in pairwise(columns)]
        for top, bottom in pairwise(rows)
    ]
    blocks = Pillow.fromarray(np.array(brightness).astype(np.uint8))
    # A block that a stroke fills takes its neighbours' paper.
    paper = blocks.filter(ImageFilter.MaxFilter(3)).resize((width, height), Pillow.Resampling.BILINEAR)
    darkness: Pixels = np.clip(np.asarray(paper, dtype=np.int16) - grey, 0, 255).astype(np.uint8)
    return darkness


def _box(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _grow_over(mask: Mask) -> Mask:
    """Return the strokes with their soft edges."""
    return np.asarray(Pillow.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(5))) > 0


def _fit(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Return (width, height) on the grid that ink of a size is scaled to: full height where its width allows."""
    across, down = width * _GRID * _WIDEST, height * _GRID
    aspect = size[0] / size[1]
    narrowed = across / down if across / down < aspect <= across / down * _SQUEEZE else aspect
    fitted_height = min(down, across / narrowed)
    return max(1, round(fitted_height * narrowed)), max(1, round(fitted_height))


def _settle(mask: Mask, width: int, height: int) -> Pixels:
    """Return the answer: ink scaled to its final size, in the middle, and each pixel's share of it."""
    left, top, right, bottom = _box(mask)
    ink = Pillow.fromarray(mask[top:bottom, left:right].astype(np.uint8) * 255)
    ink = ink.resize(_fit(ink.size, width, height), Pillow.Resampling.BOX)
    sheet = Pillow.new("L", (width * _GRID, height * _GRID))
    sheet.paste(ink, ((sheet.width - ink.width) // 2, (sheet.height - ink.height) // 2))
    return np.array(sheet.reduce(_GRID))

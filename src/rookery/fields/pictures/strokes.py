"""The strokes of a drawing: which belong to it, and how thick they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

_INK_SHARE = 0.305
"""Mean share of a UCI digit that is ink; it is the same for a 1 as for an 8, as pens were evened out."""
_SPECK = 0.04
"""Of the largest stroke's area: what is smaller is dust."""
_LEAST_POINTS = 12
"""What is smaller even if there is nothing else."""
_MARGIN = 12
"""Points by which strokes may grow, or shrink, on each side."""


def keep_strokes(mask: Mask) -> Mask | None:
    """Return the mask without its specks, or None if nothing else is there."""
    labels = _label(mask)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    largest = int(areas.max())
    if largest < _LEAST_POINTS:
        return None
    kept: Mask = (areas >= max(_LEAST_POINTS, _SPECK * largest))[labels]
    return kept


def _label(mask: Mask) -> npt.NDArray[np.int64]:
    """Return the number of the connected part that each point belongs to, corners included; 0 outside the mask.

    Works on runs, the unbroken stretches of a row: those that touch runs of the row above join their parts.
    """
    height, width = mask.shape
    padded = np.zeros((height, width + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    first_of_row = np.searchsorted(rows, np.arange(height + 1)).tolist()
    start_list, end_list = starts.tolist(), ends.tolist()
    for row in range(1, height):
        above, last_above = first_of_row[row - 1], first_of_row[row]
        for run in range(first_of_row[row], first_of_row[row + 1]):
            while above < last_above and end_list[above] < start_list[run]:
                above += 1
            touching = above
            while touching < last_above and start_list[touching] <= end_list[run]:
                parents[root(touching)] = root(run)
                touching += 1
    labels = np.zeros((height, width), dtype=np.int64)
    for run, (row, start, end) in enumerate(zip(rows.tolist(), start_list, end_list, strict=True)):
        labels[row, start:end] = root(run) + 1
    return labels


def even_out(mask: Mask, fit: Callable[[tuple[int, int]], tuple[int, int]], points: int) -> Mask:
    """Return strokes grown or shrunk until, fitted again, they cover the share of the sheet that UCI's digits do.

    Args:
        mask: the drawing, without margins.
        fit: the (width, height) that ink of a size is scaled to.
        points: of the whole sheet.

    Returns:
        The drawing with a margin around it.
    """

    def share(strokes: Mask) -> float:
        height, width = (int(np.ptp(np.flatnonzero(strokes.any(axis=axis)))) + 1 for axis in (1, 0))
        fitted_width, fitted_height = fit((width, height))
        return int(np.count_nonzero(strokes)) * (fitted_width / width) * (fitted_height / height) / points

    best = strokes = np.pad(mask, _MARGIN)
    if not strokes.any():
        return np.pad(np.ones_like(mask), _MARGIN)
    is_thin = share(strokes) < _INK_SHARE
    for step in range(_MARGIN):
        strokes = _grow(strokes, step) if is_thin else ~_grow(~strokes, step)
        if not strokes.any() or abs(share(strokes) - _INK_SHARE) >= abs(share(best) - _INK_SHARE):
            break
        best = strokes
    return best


def _grow(mask: Mask, step: int) -> Mask:
    """Return the mask one point wider on all sides: by a cross and a square in turn, which makes round corners."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    rows = grown.copy() if step % 2 else mask
    grown[:, 1:] |= rows[:, :-1]
    grown[:, :-1] |= rows[:, 1:]
    return grown

"""Probe rows over a schema: missing values, every category, every bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rookery.export.runner import Matrix
from rookery.fields.columns import Column


def codes_of(column: Column) -> list[float]:
    """Return every code of a category or boolean column; none for numbers."""
    if column.kind == "boolean":
        return [0.0, 1.0]
    return [float(code) for code in range(len(column.categories))] if column.kind == "category" else []


def bounds_of(column: Column) -> list[float]:
    """Return a number's or integer's finite bounds as the float32 values that inputs at the bounds become.

    A number just inside an exclusive bound rounds onto it, so the bound itself is among the values; an integer's
    is the next one.
    """
    if column.kind not in ("number", "integer"):
        return []
    step = 1.0 if column.kind == "integer" else 0.0
    lows = [column.minimum, None if column.exclusive_minimum is None else column.exclusive_minimum + step]
    highs = [column.maximum, None if column.exclusive_maximum is None else column.exclusive_maximum - step]
    bounds = [max((low for low in lows if low is not None), default=None)]
    bounds.append(min((high for high in highs if high is not None), default=None))
    largest = float(np.finfo(np.float32).max)
    return [float(np.float32(bound)) for bound in bounds if bound is not None and abs(bound) <= largest]


def spread_rows(matrix: Matrix, count: int) -> Matrix:
    """Return up to `count` rows, evenly spaced over the matrix: the same ones every time."""
    if len(matrix) <= count:
        return matrix
    return matrix[np.linspace(0, len(matrix) - 1, count).round().astype(np.int64)]


def with_value(base: Matrix, position: int, value: float) -> Matrix:
    """Return the rows with one column set to a value."""
    rows = base.copy()
    rows[:, position] = value
    return rows


def probe_missing(columns: Sequence[Column], base: Matrix) -> Matrix:
    """Return rows with each optional column missing, and all of them at once; [k, width]."""
    optional = [position for position, column in enumerate(columns) if column.optional]
    parts = [with_value(base, position, np.nan) for position in optional]
    if len(optional) > 1:
        everything = base.copy()
        everything[:, optional] = np.nan
        parts.append(everything)
    return _stack(parts, base.shape[1])


def probe_codes(columns: Sequence[Column], base: Matrix) -> Matrix:
    """Return rows with every category of every column, and both values of every boolean; [k, width]."""
    parts = [with_value(base, p, code) for p, column in enumerate(columns) for code in codes_of(column)]
    return _stack(parts, base.shape[1])


def probe_bounds(columns: Sequence[Column], base: Matrix) -> Matrix:
    """Return rows with every bound of every column, and two with all columns at one; [k, width]."""
    parts = [with_value(base, p, bound) for p, column in enumerate(columns) for bound in bounds_of(column)]
    return _stack([*parts, *_corners(columns, base)], base.shape[1])


def _corners(columns: Sequence[Column], base: Matrix) -> Iterator[Matrix]:
    for side in (0, -1):
        corner, moved = base[:1].copy(), False
        for position, column in enumerate(columns):
            bounds = bounds_of(column)
            if bounds:
                corner[:, position], moved = bounds[side], True
        if moved:
            yield corner


def _stack(parts: Sequence[Matrix], width: int) -> Matrix:
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, width), dtype=np.float32)


def ulp_neighbours(row: Matrix) -> Matrix:
    """Return the rows one float32 step away, in one column or in all at once; [2 * width + 2, width]."""
    up, down = np.nextafter(row, np.float32(np.inf)), np.nextafter(row, np.float32(-np.inf))
    rows = np.repeat(row[None, :], 2 * len(row) + 2, axis=0)
    diagonal = np.arange(len(row))
    rows[diagonal, diagonal], rows[len(row) + diagonal, diagonal] = up, down
    rows[-2], rows[-1] = up, down
    return rows

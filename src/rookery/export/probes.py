"""Probe rows over a schema: missing values, every category, every bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rookery.export.runner import Matrix
from rookery.fields.columns import Column


def inward_bounds(column: Column) -> tuple[np.float32 | None, np.float32 | None]:
    """Return the smallest and largest float32 a column allows, rounded into its bounds; None where unbounded."""
    below, above = np.float32(-np.inf), np.float32(np.inf)
    lowest, highest = None, None
    for bound, exclusive in ((column.minimum, False), (column.exclusive_minimum, True)):
        if bound is not None:
            value = np.float32(bound)
            if float(value) < bound or (exclusive and float(value) <= bound):
                value = np.float32(np.floor(bound) + 1) if column.kind == "integer" else np.nextafter(value, above)
            lowest = value if lowest is None else max(lowest, value)
    for bound, exclusive in ((column.maximum, False), (column.exclusive_maximum, True)):
        if bound is not None:
            value = np.float32(bound)
            if float(value) > bound or (exclusive and float(value) >= bound):
                value = np.float32(np.ceil(bound) - 1) if column.kind == "integer" else np.nextafter(value, below)
            highest = value if highest is None else min(highest, value)
    return (
        lowest if lowest is not None and np.isfinite(lowest) else None,
        highest if highest is not None and np.isfinite(highest) else None,
    )


def codes_of(column: Column) -> list[float]:
    """Return every code of a category or boolean column; none for numbers."""
    if column.kind == "boolean":
        return [0.0, 1.0]
    return [float(code) for code in range(len(column.categories))] if column.kind == "category" else []


def bounds_of(column: Column) -> list[float]:
    """Return the finite bounds of a number or integer column, as float32 values within it."""
    if column.kind not in ("number", "integer"):
        return []
    return [float(bound) for bound in inward_bounds(column) if bound is not None]


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

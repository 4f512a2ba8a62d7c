"""Ranges: which values lie outside what the model was trained on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rookery.fields.columns import Column
from rookery.fields.hints import show_number, with_unit
from rookery.fields.schema import InputSchema

Row = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float32]


FEW_ROWS = 4
"""So few rows are compared number by number sooner than by arrays, of which every operation costs a microsecond."""


def is_any_outside(low: Row, high: Row, matrix: Matrix) -> bool:
    """Tell whether any value of float32 [n, width] lies beyond the training data's range; see `range_warnings`."""
    if len(matrix) > FEW_ROWS:
        return bool(np.count_nonzero((matrix < low) | (matrix > high)))
    lows, highs = low.tolist(), high.tolist()
    for row in matrix.tolist():
        for value, least, greatest in zip(row, lows, highs, strict=True):
            if value < least or value > greatest:
                return True
    return False


def range_warnings(schema: InputSchema, low: Row, high: Row, matrix: Matrix) -> dict[int, list[str]]:
    """Return warnings by row index for values beyond the training data's range; rows within it are absent.

    Args:
        schema: the schema that encoded the matrix.
        low: float32 [width], the smallest training values; -inf where there is none.
        high: float32 [width], the largest; inf where there is none.
        matrix: float32 [n, width]; missing values (NaN) are never outside.
    """
    warnings: dict[int, list[str]] = {}
    if not is_any_outside(low, high, matrix):
        return warnings
    for row, position in np.argwhere((matrix < low) | (matrix > high)).tolist():
        column = schema.columns[position]
        text = _describe(column, matrix[row, position], low[position], high[position])
        warnings.setdefault(row, []).append(text)
    return warnings


def _describe(column: Column, value: np.float32, low: np.float32, high: np.float32) -> str:
    above = bool(value > high)
    bound = f"{'maximum' if above else 'minimum'} {_shortest(high if above else low)}{with_unit(column)}"
    return f"{column.name}={_shortest(value)} is {'above' if above else 'below'} the training data's {bound}"


def _shortest(value: np.float32) -> str:
    """Return the shortest decimal that is the same float32."""
    return show_number(float(str(value)))

"""Rows by their content: one spelling for equal rows, so that they can be hashed and grouped."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Matrix: TypeAlias = npt.NDArray[np.float32]
Target: TypeAlias = npt.NDArray[Any]
Indices: TypeAlias = npt.NDArray[np.intp]


def canonical_rows(matrix: Matrix) -> Matrix:
    """Return rows of which equal ones have equal bytes: one NaN, no negative zero, little-endian, contiguous."""
    rows = matrix.astype("<f4") + np.float32(0.0)
    rows[np.isnan(rows)] = np.float32(np.nan)
    return np.ascontiguousarray(rows)


def group_rows(matrix: Matrix) -> tuple[Indices, Indices]:
    """Return where each distinct row first occurs, and every row's number among the distinct ones.

    Missing values are equal to each other. Distinct rows are numbered in an order that only their content decides.
    """
    rows = canonical_rows(matrix)
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    return first, group.reshape(-1)

"""Checks of a whole training set: is there something to learn from every column, and for every class?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rookery.errors import DataError
from rookery.fields.columns import Column
from rookery.service.task import Classification, Task
from rookery.training.rows import Matrix, Target, group_rows

MINIMUM_ROWS = 30
"""Fewer rows cannot be split into a part that teaches and one that judges."""
MINIMUM_CLASS_ROWS = 10
"""A class with fewer rows would be missing from folds of a cross-validation."""


def check_count(service: str, rows: int) -> None:
    """Refuse training sets that are too small.

    Raises:
        DataError: there are fewer than 30 rows.
    """
    if rows < MINIMUM_ROWS:
        raise DataError(f"{service}: {rows} training rows are too few", cure=f"Bring at least {MINIMUM_ROWS} rows")


def check_columns(
    service: str, columns: Sequence[Column], task: Task, matrix: Matrix, target: Target, *, are_pixels: bool = False
) -> list[str]:
    """Refuse training sets that teach nothing; return notes on what is odd but workable.

    A pixel may be the same in all pictures: in a corner nothing is ever drawn.

    Raises:
        DataError: a class with too few rows, a constant target, a constant column, or a category that the
            input model allows and no row has: a model answers such inputs by chance.
    """
    _check_target(service, task, target)
    for position, column in enumerate(() if are_pixels else columns):
        _check_column(service, column, matrix[:, position])
    return [*_note_missing(columns, matrix), *_note_duplicates(matrix, target)]


def _check_target(service: str, task: Task, target: Target) -> None:
    if isinstance(task, Classification):
        counts = np.bincount(target.astype(np.int64), minlength=len(task.labels))
        few = [
            (label, int(count)) for label, count in zip(task.labels, counts, strict=True) if count < MINIMUM_CLASS_ROWS
        ]
        if few:
            named = ", ".join(f"{label!r} ({count})" for label, count in few)
            raise DataError(
                f"{service}: classes with too few training rows: {named}",
                cure=f"Bring at least {MINIMUM_CLASS_ROWS} rows of each, or drop the class from the task",
            )
    elif len(np.unique(target)) == 1:
        raise DataError(
            f"{service}: the target is {target[0]} in every row", cure="A constant needs no model: check data()"
        )


def _check_column(service: str, column: Column, values: Matrix) -> None:
    missing = np.isnan(values)
    present = np.unique(values[~missing])
    if len(present) + bool(missing.any()) < 2:
        value = "missing" if missing.all() else column.categories[int(present[0])] if column.categories else present[0]
        raise DataError(
            f"{service}: column {column.name!r} is constant ({value} in all {len(values)} rows)",
            cure="Drop the field from the input model, or bring rows in which it varies",
        )
    if column.kind == "category":
        unseen = [str(name) for code, name in enumerate(column.categories) if code not in present]
        if unseen:
            raise DataError(
                f"{service}: column {column.name!r} allows {', '.join(map(repr, unseen))}, which no training row has",
                cure="Drop it from the input model, or bring rows that have it",
            )


def _note_missing(columns: Sequence[Column], matrix: Matrix) -> list[str]:
    counts = np.isnan(matrix).sum(axis=0)
    notes = []
    for column, count in zip(columns, counts, strict=True):
        if count:
            notes.append(f"{column.name} is missing in {count} of {len(matrix)} rows")
        elif column.optional:
            notes.append(f"{column.name} is optional, but no training row lacks it")
    return notes


def _note_duplicates(matrix: Matrix, target: Target) -> list[str]:
    first, groups = group_rows(matrix)
    distinct = len(first)
    if distinct == len(matrix):
        return []
    notes = [f"{len(matrix) - distinct} rows repeat the inputs of another; repeats stay on one side of the split"]
    pairs = len(np.unique(np.column_stack([groups, target.astype(np.float64)]), axis=0))
    if pairs > distinct:
        notes.append(f"{pairs - distinct} of them contradict it: equal inputs with different outcomes")
    return notes

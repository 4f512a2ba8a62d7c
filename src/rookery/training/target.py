"""Targets: the true outcomes of the training rows, as class indices or as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from rookery.errors import DataError
from rookery.service.task import Classification, Task

SHOWN_ROWS = 5


def encode_target(service: str, task: Task, target: Any, *, rows: int) -> npt.NDArray[Any]:
    """Return int64 class indices in the task's order, or float64 values, one per row.

    Raises:
        DataError: the target's length is not the columns', a value is missing or not finite, or a label is none of
            the task's.
    """
    to_list = getattr(target, "tolist", None) or getattr(target, "to_list", None)
    values: Sequence[Any] = to_list() if to_list is not None else list(target)
    if len(values) != rows:
        raise DataError(
            f"{service}: the target has {len(values)} values for {rows} rows", cure="Give every row its outcome"
        )
    missing = [row for row, value in enumerate(values) if _is_missing(value)]
    if missing:
        raise DataError(
            f"{service}: the target is missing in {len(missing)} of {rows} rows ({_name_rows(missing)})",
            cure="Drop rows without an outcome in data()",
        )
    if isinstance(task, Classification):
        return _encode_labels(service, task, values)
    return _encode_numbers(service, values)


def _encode_labels(service: str, task: Classification, values: Sequence[Any]) -> npt.NDArray[np.int64]:
    index = {label: position for position, label in enumerate(task.labels)}
    names = [_label(value) for value in values]
    unknown = sorted({name for name in names if name not in index})
    if unknown:
        rows = [row for row, name in enumerate(names) if name not in index]
        close = get_close_matches(unknown[0], task.labels, n=1)
        hint = f" (is {unknown[0]!r} meant to be {close[0]!r}?)" if close else ""
        raise DataError(
            f"{service}: {len(rows)} rows have a label that is none of the task's: "
            f"{', '.join(map(repr, unknown[:10]))}{hint} ({_name_rows(rows)})",
            cure=f"The task's labels are {', '.join(task.labels)}: add the new ones to it, or correct the data",
        )
    return np.array([index[name] for name in names], dtype=np.int64)


def _encode_numbers(service: str, values: Sequence[Any]) -> npt.NDArray[np.float64]:
    wrong = [row for row, value in enumerate(values) if isinstance(value, bool) or not isinstance(value, (int, float))]
    if wrong:
        raise DataError(
            f"{service}: the target is no number in {len(wrong)} rows ({_name_rows(wrong)}: {values[wrong[0]]!r:.60})",
            cure="Give numbers for a regression",
        )
    numbers = np.array(values, dtype=np.float64)
    infinite = np.flatnonzero(~(np.abs(numbers) <= np.finfo(np.float32).max))
    if len(infinite):
        raise DataError(
            f"{service}: the target is infinite or beyond float32 in {len(infinite)} rows ({_name_rows(infinite)})",
            cure="Drop or correct these rows in data()",
        )
    return numbers


def _label(value: Any) -> str:
    """Return a label as the task spells it: class 0.0 of a float column is '0'."""
    value = getattr(value, "value", value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value) or repr(value) in ("<NA>", "NaT")


def _name_rows(rows: Sequence[int] | npt.NDArray[Any]) -> str:
    shown = ", ".join(str(int(row)) for row in rows[:SHOWN_ROWS])
    return f"row{'s' if len(rows) > 1 else ''} {shown}{', …' if len(rows) > SHOWN_ROWS else ''}"

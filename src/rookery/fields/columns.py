"""Columns: what one position of a model's input row means."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

ColumnKind = Literal["number", "integer", "boolean", "category"]

LARGEST_INTEGER = 2**24
"""Whole numbers are exact in float32 up to here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One float32 position of the input row, and how a field's value becomes it.

    A `category` is its index in `categories`, a `boolean` 0 or 1, a missing `optional` value NaN.
    """

    name: str
    """`body_mass_g`; an element of a vector field is `features[2]`."""
    field: str
    """The input model's field that holds the value."""
    kind: ColumnKind
    element: int | None = None
    """Position within a vector field; None for a plain field."""
    categories: tuple[str | int | bool, ...] = ()
    optional: bool = False
    default: Any = None
    required: bool = True
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    unit: str | None = None
    title: str | None = None
    description: str | None = None
    example: Any = None
    extra: tuple[tuple[str, Any], ...] = ()
    """Further `json_schema_extra` entries, such as `("journal", "hash")`, sorted by name."""

    def allows(self, value: float) -> bool:
        """Tell whether a number lies within the bounds."""
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.exclusive_minimum is None or value > self.exclusive_minimum)
            and (self.exclusive_maximum is None or value < self.exclusive_maximum)
        )


def bound_integer(column: Column) -> Column:
    """Return a column of whole numbers with the bounds added that keep them exact in float32; others unchanged."""
    if column.kind != "integer":
        return column
    if column.minimum is None and column.exclusive_minimum is None:
        column = replace(column, minimum=float(-LARGEST_INTEGER))
    if column.maximum is None and column.exclusive_maximum is None:
        column = replace(column, maximum=float(LARGEST_INTEGER))
    return column


def find_fault(column: Column) -> tuple[str, str] | None:
    """Return what contradicts itself in a column and its cure, or None."""
    if column.kind == "category":
        fault = _find_category_fault(column)
    elif column.categories:
        fault = (f"{column.name} is a {column.kind} with categories", "Use Literal or Enum for categories")
    else:
        fault = _find_bounds_fault(column)
    if fault:
        return fault
    values = [("example", column.example)] if column.example is not None else []
    if not column.required:
        values.append(("default", column.default))
    for what, value in values:
        if not _holds(column, value):
            cure = "Allow None in the field's type" if value is None else f"Give a {what} that the field itself allows"
            return f"the {what} {value!r:.100} of {column.name} is not allowed by the field", cure
    return None


def _find_category_fault(column: Column) -> tuple[str, str] | None:
    strange = [v for v in column.categories if isinstance(v, bool) or not isinstance(v, (str, int))]
    if strange:
        return f"the category {strange[0]!r:.50} is neither a text nor a whole number", "For two truths, use bool"
    if not column.categories:
        return f"{column.name} has no categories", "Name at least one"
    if len(set(column.categories)) < len(column.categories):
        return f"{column.name} names a category twice", "Name each category once"
    if _bounds(column):
        return f"{column.name} has bounds, which categories cannot have", "Drop the bounds"
    return None


def _find_bounds_fault(column: Column) -> tuple[str, str] | None:
    bounds = _bounds(column)
    if column.kind == "boolean":
        return (f"{column.name} has bounds, which a truth cannot have", "Drop the bounds") if bounds else None
    if not all(math.isfinite(bound) for bound in bounds):
        return f"{column.name} has a bound that is not finite", "Give numbers as bounds"
    low, high = _extremes(column)
    if low > high or not (column.allows(low) or column.allows(high) or column.allows(low / 2 + high / 2)):
        return f"no value lies within the bounds of {column.name}", "Correct ge, gt, le or lt"
    if column.kind == "integer" and (low < -LARGEST_INTEGER or high > LARGEST_INTEGER):
        return (
            f"{column.name} allows whole numbers beyond ±{LARGEST_INTEGER:,}, which float32 does not hold exactly",
            "Narrow its bounds, or declare it as float if a relative error of 6e-8 does no harm",
        )
    return None


def _extremes(column: Column) -> tuple[float, float]:
    """Return the smallest and the largest number that the bounds allow, or the open bounds of real numbers."""
    lows = [-math.inf if column.minimum is None else column.minimum]
    highs = [math.inf if column.maximum is None else column.maximum]
    whole = column.kind == "integer"
    if whole:
        lows, highs = [_round_up(bound) for bound in lows], [-_round_up(-bound) for bound in highs]
    if column.exclusive_minimum is not None:
        lows.append(math.floor(column.exclusive_minimum) + 1 if whole else column.exclusive_minimum)
    if column.exclusive_maximum is not None:
        highs.append(math.ceil(column.exclusive_maximum) - 1 if whole else column.exclusive_maximum)
    return max(lows), min(highs)


def _round_up(bound: float) -> float:
    return math.ceil(bound) if math.isfinite(bound) else bound


def _bounds(column: Column) -> list[float]:
    bounds = (column.minimum, column.maximum, column.exclusive_minimum, column.exclusive_maximum)
    return [bound for bound in bounds if bound is not None]


def _holds(column: Column, value: Any) -> bool:
    """Tell whether a column's field allows a value, by the rules of strict JSON."""
    if value is None:
        return column.optional
    if column.kind == "category":
        return any(value == category and type(value) is type(category) for category in column.categories)
    if column.kind == "boolean" or isinstance(value, bool):
        return column.kind == "boolean" and isinstance(value, bool)
    allowed = int if column.kind == "integer" else (int, float)
    return isinstance(value, allowed) and math.isfinite(value) and column.allows(value)

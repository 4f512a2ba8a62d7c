"""Columns: what one position of a model's input row means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ColumnKind = Literal["number", "integer", "boolean", "category"]


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

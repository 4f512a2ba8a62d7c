"""Families: derived features that differ in constants alone, which one set of nodes computes side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import TypeAlias

from rookery.fields.expression import Expression

EXACT = frozenset({"add", "subtract", "multiply", "divide", "negative", "absolute", "sqrt"})
"""Operators that IEEE 754 rounds in one way only, so that a value is the same bits alone and beside others."""

Outline: TypeAlias = "tuple[Outline, ...] | str | None"
"""An expression with its constants left open (None)."""


def group_families(derived: Mapping[str, Expression], columns: Set[str]) -> list[list[str]]:
    """Return the names of all derived features, those of one family together, in the order of each one's first.

    A feature that reads an earlier one, or is read by a later one, stands alone: it keeps its place in the order.
    """
    read = frozenset().union(*(expression.column_names() for expression in derived.values()))
    families: dict[Outline, list[str]] = {}
    for name, expression in derived.items():
        outline = _outline(expression)
        alone = name in read or not expression.column_names() <= columns or not _is_open(outline)
        families.setdefault(("alone", name) if alone else outline, []).append(name)
    return list(families.values())


def _outline(expression: Expression) -> Outline:
    if not expression.column_names():
        return None
    if expression.operator in EXACT:
        return (expression.operator, *(_outline(operand) for operand in expression.operands))
    return json.dumps(expression.to_json())


def _is_open(outline: Outline) -> bool:
    return outline is None or (isinstance(outline, tuple) and any(_is_open(part) for part in outline))

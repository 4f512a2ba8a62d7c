"""Families: derived features that differ in constants alone, which one set of nodes computes side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import TypeAlias

from rookery.fields.expression import Expression

COMPARISONS = frozenset({"less", "less_equal", "greater", "greater_equal", "equal"})
EXACT = COMPARISONS | {"add", "subtract", "multiply", "divide", "negative", "absolute", "sqrt"}
"""Operators that IEEE 754 rounds in one way only, so that a value is the same bits alone and beside others."""
_CONNECTIVES = frozenset({"and", "or", "not"})

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


def is_one_step(expression: Expression) -> bool:
    """Tell whether float32 gives the very bits that float64, rounded once to float32, gives.

    So it is with a single sum, product or quotient of float32 numbers, as float64 has more than twice their digits,
    and with comparisons. (With a root too, but processors have quick ones that are not exact.)
    """
    operands = expression.operands
    if expression.operator in _CONNECTIVES:
        return all(is_one_step(operand) for operand in operands)
    if expression.operator in EXACT - {"sqrt"} or expression.operator == "not_equal":
        return all(operand.operator == "column" or not operand.column_names() for operand in operands)
    return expression.operator == "column" or not expression.column_names()


def _outline(expression: Expression) -> Outline:
    if not expression.column_names():
        return None
    if expression.operator in EXACT:
        return (expression.operator, *(_outline(operand) for operand in expression.operands))
    return json.dumps(expression.to_json())


def _is_open(outline: Outline) -> bool:
    return outline is None or (isinstance(outline, tuple) and any(_is_open(part) for part in outline))

"""Intervals: which derived features can never be infinite or undefined, as long as inputs keep their bounds.

Every result is enclosed by interval arithmetic. Float64's own rounding cannot lead out of an interval whose ends
were rounded alike: additions, products, quotients and roots grow or fall with their operands, rounded ones too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np

from rookery.fields.columns import Column
from rookery.fields.expression import EARTH_RADIUS_KM, Expression

LARGEST = float(np.finfo(np.float32).max)
_LARGEST_EXPONENT = 700.0
"""Below the exponent at which exp overflows in float64."""
_SLACK = 1e-9
"""How far an exponential, a logarithm or a distance may be from its true value, relatively or (near 0) absolutely."""


@dataclass(frozen=True, slots=True)
class Interval:
    """All numbers from `low` to `high`, both finite."""

    low: float
    high: float


Enclosure: TypeAlias = Interval | None
"""None: the value may be anything, or undefined."""

TRUTH = Interval(0.0, 1.0)


def safe_features(columns: Sequence[Column], derived: Mapping[str, Expression]) -> frozenset[str]:
    """Return the derived features that are finite float32 numbers for every input within the columns' bounds.

    What reads an optional column is not proven, unless it only compares it: a comparison is 0 or 1 in any case.
    """
    known: dict[str, Enclosure] = {column.name: _enclose_column(column) for column in columns}
    safe = set()
    for name, expression in derived.items():
        known[name] = found = _enclose(expression, known)
        if found is not None and max(abs(found.low), abs(found.high)) <= LARGEST:
            safe.add(name)
    return frozenset(safe)


def _enclose_column(column: Column) -> Enclosure:
    if column.optional:
        return None
    if column.kind == "boolean":
        return TRUTH
    if column.kind == "category":
        return Interval(0.0, len(column.categories) - 1.0)
    lows = [bound for bound in (column.minimum, column.exclusive_minimum) if bound is not None]
    highs = [bound for bound in (column.maximum, column.exclusive_maximum) if bound is not None]
    # Inputs are rounded to float32, exclusive ones onto their bound; numbers beyond float32 are refused.
    low, high = max(max(lows, default=-LARGEST), -LARGEST), min(min(highs, default=LARGEST), LARGEST)
    return Interval(float(np.float32(low)), float(np.float32(high)))


def _enclose(expression: Expression, known: Mapping[str, Enclosure]) -> Enclosure:
    if expression.operator == "column":
        return known[expression.name]
    if not expression.column_names():
        with np.errstate(all="ignore"):
            value = float(np.float32(expression.evaluate({})))
        return _checked(value, value)
    if expression.is_logical:
        return TRUTH
    operands = [_enclose(operand, known) for operand in expression.operands]
    enclosed = [operand for operand in operands if operand is not None]
    if len(enclosed) < len(operands):
        return None
    return _RESULTS[expression.operator](*enclosed)


def _checked(low: float, high: float) -> Enclosure:
    return Interval(low, high) if math.isfinite(low) and math.isfinite(high) else None


def _loosened(low: float, high: float) -> Enclosure:
    return _checked(low - (1 + abs(low)) * _SLACK, high + (1 + abs(high)) * _SLACK)


def _corners(operation: Callable[[float, float], float], a: Interval, b: Interval) -> Enclosure:
    ends = [operation(x, y) for x, y in product((a.low, a.high), (b.low, b.high))]
    return _checked(min(ends), max(ends))


def _divide(a: Interval, b: Interval) -> Enclosure:
    return None if b.low <= 0.0 <= b.high else _corners(lambda x, y: x / y, a, b)


def _absolute(a: Interval) -> Enclosure:
    nearest = 0.0 if a.low <= 0.0 <= a.high else min(abs(a.low), abs(a.high))
    return Interval(nearest, max(abs(a.low), abs(a.high)))


def _log(a: Interval) -> Enclosure:
    return _loosened(math.log(a.low), math.log(a.high)) if a.low > 0.0 else None


def _exp(a: Interval) -> Enclosure:
    return _loosened(math.exp(a.low), math.exp(a.high)) if a.high <= _LARGEST_EXPONENT else None


def _distance(latitude: Interval, _: Interval, to_latitude: Interval, __: Interval) -> Enclosure:
    # Beyond the poles a cosine is negative, and the haversine formula may take the root of a negative number.
    on_earth = all(angle.low >= -90.0 and angle.high <= 90.0 for angle in (latitude, to_latitude))
    return _loosened(0.0, math.pi * EARTH_RADIUS_KM) if on_earth else None


_RESULTS: Mapping[str, Callable[..., Enclosure]] = {
    "add": lambda a, b: _checked(a.low + b.low, a.high + b.high),
    "subtract": lambda a, b: _checked(a.low - b.high, a.high - b.low),
    "multiply": lambda a, b: _corners(lambda x, y: x * y, a, b),
    "divide": _divide,
    "minimum": lambda a, b: Interval(min(a.low, b.low), min(a.high, b.high)),
    "maximum": lambda a, b: Interval(max(a.low, b.low), max(a.high, b.high)),
    "negative": lambda a: Interval(-a.high, -a.low),
    "absolute": _absolute,
    "log": _log,
    "log1p": lambda a: _log(Interval(a.low + 1.0, a.high + 1.0)),
    "exp": _exp,
    "sqrt": lambda a: Interval(math.sqrt(a.low), math.sqrt(a.high)) if a.low >= 0.0 else None,
    "distance_km": _distance,
}
"""Where an operator's result lies, by where its operands lie."""

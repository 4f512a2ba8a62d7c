"""Rows invented from a schema alone: for probes and profiles of a model that comes without data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rookery.export.probes import bounds_of, codes_of
from rookery.export.runner import Matrix
from rookery.fields.columns import Column
from rookery.fields.expression import Rule
from rookery.fields.rules import broken_rules
from rookery.fields.schema import InputSchema

WIDEST = 1e6
"""Bounds farther out than this are no help in inventing plausible values."""
MISSING_SHARE = 0.1


def invent_rows(schema: InputSchema, count: int, *, rules: Sequence[Rule] = (), seed: int = 0) -> Matrix:
    """Return up to `count` rows, float32 [n, width], that the schema and the rules allow; the same ones every time.

    Numbers are uniform within their bounds, or about their example or default where a bound is missing; categories
    are uniform; a tenth of the optional values is missing.
    """
    generator = np.random.default_rng(seed)
    # Rules may leave only a part of the box between the bounds, so more rows are drawn than are wanted.
    drawn = count * (10 if rules else 1)
    rows = np.stack([_draw(column, drawn, generator) for column in schema.columns], axis=1)
    kept = np.ones(drawn, dtype=bool)
    kept[[row for row, _ in broken_rules(rules, schema, rows)]] = False
    return np.ascontiguousarray(rows[kept][:count])


def _draw(column: Column, count: int, generator: np.random.Generator) -> Matrix:
    codes = codes_of(column)
    if codes:
        values: npt.NDArray[np.float64] = generator.choice(np.asarray(codes), count)
    else:
        low, high = _span(column)
        values = generator.uniform(low, high, count)
        if column.kind == "integer":
            values = np.clip(np.round(values), np.ceil(low), np.floor(high))
    if column.optional:
        values = np.where(generator.random(count) < MISSING_SHARE, np.nan, values)
    return values.astype(np.float32)


def _span(column: Column) -> tuple[float, float]:
    known = [value for value in (column.example, column.default) if isinstance(value, (int, float))]
    centre = float(known[0]) if known else None
    bounds = [bound for bound in bounds_of(column) if abs(bound) <= WIDEST]
    if len(bounds) == 2:
        return bounds[0], bounds[1]
    reach = max(abs(centre) / 2, 1.0) if centre is not None else 1.0
    if not bounds:
        middle = centre or 0.0
        return middle - reach, middle + reach
    is_lower = any(limit is not None and abs(limit) <= WIDEST for limit in (column.minimum, column.exclusive_minimum))
    if is_lower:
        return bounds[0], max(bounds[0], centre if centre is not None else bounds[0]) + reach
    return min(bounds[0], centre if centre is not None else bounds[0]) - reach, bounds[0]

"""Rules held against encoded rows, all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rookery.fields.expression import Rule
from rookery.fields.schema import InputSchema

Matrix: TypeAlias = npt.NDArray[np.float32]


def broken_rules(rules: Sequence[Rule], schema: InputSchema, matrix: Matrix) -> list[tuple[int, Rule]]:
    """Return every (row, rule) that does not hold, by row and then in the order of the rules.

    Rules are judged in float32, as the model sees the values. A rule that reads a missing value is not judged.

    Args:
        rules: the service's rules.
        schema: the schema that encoded the matrix.
        matrix: float32 [n, width].
    """
    if not rules or not len(matrix):
        return []
    columns = {column.name: matrix[:, position] for position, column in enumerate(schema.columns)}
    broken: list[tuple[int, int]] = []
    with np.errstate(all="ignore"):
        for order, rule in enumerate(rules):
            holds = rule.condition.evaluate(columns)
            if not holds.all():
                failed = np.broadcast_to(~holds.astype(bool), (len(matrix),)).copy()
                for name in rule.condition.column_names():
                    failed &= ~np.isnan(columns[name])
                broken += [(int(row), order) for row in np.flatnonzero(failed)]
    return [(row, rules[order]) for row, order in sorted(broken)]

"""Choosing golden cases: rows away from every threshold that show each class, category, bound and missing value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from rookery.errors import DataError
from rookery.export.convert import Exported
from rookery.export.derived import DerivedGraph
from rookery.export.graph import FEATURES, cut_model
from rookery.export.probes import bounds_of, codes_of, probe_bounds, probe_codes, probe_missing, spread_rows
from rookery.export.runner import GraphRunner, Matrix
from rookery.export.thresholds import Splits, read_splits
from rookery.fields.columns import Column
from rookery.fields.encoder import Encoder
from rookery.fields.expression import Expression, Rule
from rookery.fields.rules import broken_rules
from rookery.fields.schema import InputSchema
from rookery.package.digests import canonical_json
from rookery.package.golden import MINIMUM_GOLDEN, GoldenCase

TOLERANCE = 1e-5
"""Of a probability; of a regression, relative to the answer or to the answers' spread, whichever is larger."""
POOL_ROWS = 512
BASE_ROWS = 12
ENOUGH_STEPS = 64.0
"""Float32 steps from the nearest threshold beyond which a row is not better still."""


def choose_golden(
    exported: Exported,
    *,
    schema: InputSchema,
    derived: Mapping[str, Expression],
    matrix: Matrix,
    rules: Sequence[Rule] = (),
    count: int = MINIMUM_GOLDEN,
) -> list[GoldenCase]:
    """Choose at least `count` cases from `matrix` [n, width] and from rows made of it; the same ones every time.

    They show every class the graph answers, every category, every bound and every missing optional value that an
    input may have under the rules, each by the row that lies farthest from the trees' thresholds. What is expected
    is the exported graph's own answer.

    Raises:
        DataError: there are too few different valid inputs.
    """
    pool = _Pool(exported, schema, derived, rules, np.ascontiguousarray(matrix, dtype=np.float32))
    chosen: list[int] = []
    for need in pool.needs(schema.columns):
        if not np.isin(np.flatnonzero(need), chosen).any():
            chosen += pool.best(need, exclude=chosen, count=1)
    everything = np.ones(len(pool.rows), dtype=bool)
    chosen += pool.best(everything, exclude=chosen, count=max(0, count - len(chosen)))
    if len(chosen) < count:
        raise DataError(
            f"only {len(chosen)} different valid inputs can be made from {len(matrix)} rows, {count} are needed",
            cure="Give more rows, or bounds to the input's numbers",
        )
    return [pool.case(index) for index in chosen]


class _Pool:
    """The candidate rows with the graph's answers and their distance from thresholds."""

    def __init__(
        self,
        exported: Exported,
        schema: InputSchema,
        derived: Mapping[str, Expression],
        rules: Sequence[Rule],
        matrix: Matrix,
    ) -> None:
        self._encoder = Encoder(schema)
        self._inputs: dict[int, dict[str, Any] | None] = {}
        self._is_classification = exported.labels is not None
        rows = _candidate_rows(schema.columns, matrix)
        with np.errstate(all="ignore"):
            outputs = GraphRunner(exported.model).run(rows)
        valid = np.isfinite(outputs).all(axis=1) if outputs.ndim == 2 else np.isfinite(outputs)
        valid[[row for row, _ in broken_rules(rules, schema, rows)]] = False
        self.rows, self.outputs = rows[valid], outputs[valid]
        features = DerivedGraph(schema, derived).run(self.rows)
        core = cut_model(exported.model, at=FEATURES, width=schema.width + len(derived))
        self.clearance = np.minimum(clearance(features, read_splits(core)), ENOUGH_STEPS)

    def needs(self, columns: Sequence[Column]) -> list[npt.NDArray[np.bool_]]:
        """Return, for each thing to be shown, which rows show it."""
        needs = []
        if self._is_classification and len(self.rows):
            best = self.outputs.argmax(axis=1)
            for label in range(self.outputs.shape[1]):
                rare = self.outputs[:, label] == self.outputs[:, label].max()
                needs.append(best == label if (best == label).any() else rare)
        for position, column in enumerate(columns):
            values = self.rows[:, position]
            needs += [values == value for value in (*codes_of(column), *bounds_of(column))]
            if column.optional:
                needs.append(np.isnan(values))
        return needs

    def best(self, need: npt.NDArray[np.bool_], *, exclude: Sequence[int], count: int) -> list[int]:
        """Return up to `count` further rows that meet a need, the farthest from thresholds first."""
        eligible = np.flatnonzero(need)
        order = eligible[np.argsort(-self.clearance[eligible], kind="stable")]
        found: list[int] = []
        for index in order.tolist():
            if len(found) == count:
                break
            if index not in exclude and self._input(index) is not None:
                found.append(index)
        return found

    def case(self, index: int) -> GoldenCase:
        """Return one row as a case."""
        recorded = self._input(index)
        if recorded is None:
            raise ValueError(f"row {index} is no valid input")
        expected = np.atleast_1d(self.outputs[index]).astype(np.float64)
        tolerance = TOLERANCE
        if not self._is_classification:
            tolerance *= float(max(abs(expected[0]), self.outputs.astype(np.float64).std())) or 1.0
        return GoldenCase(input=recorded, expected=tuple(expected.tolist()), tolerance=tolerance)

    def _input(self, index: int) -> dict[str, Any] | None:
        """Return the input that encodes to a row, or None if the schema accepts none."""
        if index not in self._inputs:
            self._inputs[index] = self._decode(self.rows[index])
        return self._inputs[index]

    def _decode(self, row: Matrix) -> dict[str, Any] | None:
        try:
            decoded = self._encoder.decode_row(row)
            validated = self._encoder.schema.model.model_validate_json(canonical_json(decoded))
            encoded = self._encoder.encode_rows([validated])
        except (DataError, ValidationError):
            return None
        return decoded if np.array_equal(encoded[0], row, equal_nan=True) else None


def _candidate_rows(columns: Sequence[Column], matrix: Matrix) -> Matrix:
    """Return real rows, then probes on categories, bounds and missing values, then blends; all different."""
    real = spread_rows(matrix, POOL_ROWS)
    base = spread_rows(real, BASE_ROWS)
    parts = [real, probe_codes(columns, base), probe_bounds(columns, base), probe_missing(columns, base)]
    rows = np.concatenate([*parts, _blends(columns, base)])
    _, first = np.unique(rows, axis=0, return_index=True)
    return np.ascontiguousarray(rows[np.sort(first)])


def _blends(columns: Sequence[Column], base: Matrix) -> Matrix:
    """Return rows whose numbers lie between two real rows', for data of few different rows."""
    numbers = [position for position, column in enumerate(columns) if column.kind == "number"]
    pairs = [(first, second) for first in range(len(base)) for second in range(first)]
    blends = [base[first].copy() for first, _ in pairs]
    for blend, (first, second) in zip(blends, pairs, strict=True):
        blend[numbers] = (base[first, numbers] + base[second, numbers]) / 2
    return np.stack(blends) if blends else base[:0]


def clearance(features: Matrix, splits: Splits) -> npt.NDArray[np.float64]:
    """Return how many float32 steps each row's values stay away from the nearest threshold, [n]."""
    result = np.full(len(features), np.inf)
    for feature in range(features.shape[1]):
        thresholds = splits.thresholds_of(feature).astype(np.float64)
        if not len(thresholds):
            continue
        values = features[:, feature].astype(np.float64)
        above = np.searchsorted(thresholds, values)
        padded = np.concatenate([[-np.inf], thresholds, [np.inf]])
        gap = np.minimum(values - padded[above], padded[above + 1] - values)
        steps = gap / np.spacing(np.abs(features[:, feature])).astype(np.float64)
        result = np.fmin(result, steps)
    return result

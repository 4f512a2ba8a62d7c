"""Derived features: declared expressions, compiled into the graph that training and serving both run.

Columns and constants are float32; what is computed from them is computed in float64 and rounded once to float32.
In float32 alone a sine or a logarithm may differ by one step between a batch (vector instructions) and a single
row (scalar ones), and that step carries rows across tree thresholds, which often are data values.
A truth is 0 or 1. A comparison with a missing value is false, as in numpy; arithmetic with one is missing.
A result that is infinite, or undefined though nothing it reads is missing (a division by zero, the logarithm of
a negative number), is a fault: training refuses the rows, and the exported graph answers NaN, which the serving
side never sends out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import numpy as np
import numpy.typing as npt

from rookery.errors import DataError, DefinitionError
from rookery.export.compiler import DerivedCompiler
from rookery.export.families import group_families
from rookery.export.graph import COLUMNS, DOUBLE, FEATURES, FLOAT, GraphBuilder
from rookery.export.runner import GraphRunner, Matrix
from rookery.fields.columns import Column
from rookery.fields.expression import Expression
from rookery.fields.schema import InputSchema


def write_derived(builder: GraphBuilder, columns: Sequence[Column], derived: Mapping[str, Expression]) -> str:
    """Write all derived features and return the tensor that holds columns and features, float32 [N, width + derived].

    With none, that is the input itself: no node is added.

    Raises:
        DefinitionError: a derived feature reads no column.
    """
    if not derived:
        return COLUMNS
    compiler = DerivedCompiler(builder)
    wide = builder.add("Cast", COLUMNS, to=DOUBLE)
    used = set().union(*(expression.column_names() for expression in derived.values()))
    for position, column in enumerate(columns):
        if column.name in used:
            compiler.tensors[column.name] = builder.add("Gather", wide, builder.constant([position], np.int64), axis=1)
    for expression in derived.values():
        compiler.collect_points(expression)
    together = _write_features(compiler, derived, {column.name for column in columns})
    return builder.add("Concat", COLUMNS, builder.add("Cast", together, to=FLOAT), output=FEATURES, axis=1)


def _write_features(compiler: DerivedCompiler, derived: Mapping[str, Expression], columns: Set[str]) -> str:
    """Write every derived feature and return the tensor that holds them in their order, float64 [N, derived]."""
    order: list[str] = []
    features: list[str] = []
    for names in group_families(derived, columns):
        for name in names:
            if not derived[name].column_names():
                raise DefinitionError(
                    f"derived feature {name!r} is a constant", cure="Let it read a column, or drop it"
                )
        if len(names) == 1:
            features.append(compiler.number(derived[names[0]]))
            compiler.tensors[names[0]] = features[-1]
        else:
            features.append(compiler.numbers([derived[name] for name in names]))
        order += names
    together = features[0] if len(features) == 1 else compiler.builder.add("Concat", *features, axis=1)
    if order == list(derived):
        return together
    positions = compiler.builder.constant([order.index(name) for name in derived], np.int64)
    return compiler.builder.add("Gather", together, positions, axis=1)


def write_guard(builder: GraphBuilder, schema: InputSchema, derived: Mapping[str, Expression], result: str) -> str:
    """Add a term to `result` [N, k] that is 0, or NaN on rows with a faulty derived feature."""
    reads = columns_read(derived)
    optional = {column.name for column in schema.columns if column.optional}
    faults = []
    for allowed_missing in (False, True):
        positions = [
            schema.width + index
            for index, name in enumerate(derived)
            if bool(reads[name] & optional) is allowed_missing
        ]
        if positions:
            part = builder.add("Gather", FEATURES, builder.constant(positions, np.int64), axis=1)
            fault = builder.add("Sub", part, part)
            if allowed_missing:
                fault = builder.add("Where", builder.add("IsNaN", part), builder.constant(0.0), fault)
            faults.append(builder.add("ReduceSum", fault, builder.constant([1], np.int64), keepdims=1))
    for fault in faults:
        result = builder.add("Add", result, fault)
    return result


def columns_read(derived: Mapping[str, Expression]) -> dict[str, frozenset[str]]:
    """Return the columns each derived feature depends on, through earlier features too."""
    reads: dict[str, frozenset[str]] = {}
    for name, expression in derived.items():
        direct = expression.column_names()
        reads[name] = frozenset().union(*(reads.get(other, frozenset({other})) for other in direct))
    return reads


class DerivedGraph:
    """The derived features of one schema as a graph that runs by itself."""

    def __init__(self, schema: InputSchema, derived: Mapping[str, Expression]) -> None:
        self._schema = schema
        self._reads = columns_read(derived)
        self._runner: GraphRunner | None = None
        if derived:
            builder = GraphBuilder()
            result = write_derived(builder, schema.columns, derived)
            width = schema.width + len(derived)
            self._runner = GraphRunner(
                builder.finish(source=COLUMNS, width=schema.width, result=result, output=FEATURES, shape=[None, width])
            )

    def run(self, matrix: Matrix) -> Matrix:
        """Return columns and derived features, float32 [n, width + derived], whatever their values."""
        matrix = np.ascontiguousarray(matrix, dtype=np.float32)
        if self._runner is None or not len(matrix):
            return matrix if self._runner is None else np.zeros((0, self._schema.width + len(self._reads)), np.float32)
        return np.asarray(self._runner.run(matrix), dtype=np.float32)

    def faults(self, features: Matrix) -> dict[str, npt.NDArray[np.intp]]:
        """Return, by derived feature, the rows where it is infinite, or undefined with nothing missing."""
        position = {column.name: index for index, column in enumerate(self._schema.columns)}
        found: dict[str, npt.NDArray[np.intp]] = {}
        for offset, (name, reads) in enumerate(self._reads.items()):
            values = features[:, self._schema.width + offset]
            optional = [position[column] for column in reads if self._schema.columns[position[column]].optional]
            missing = np.isnan(features[:, optional]).any(axis=1)
            rows = np.flatnonzero(np.isinf(values) | (np.isnan(values) & ~missing))
            if len(rows):
                found[name] = rows
        return found


def derive(schema: InputSchema, derived: Mapping[str, Expression], matrix: Matrix) -> Matrix:
    """Return the float32 matrix a model is fitted on: columns, then derived features; shape [n, width + derived].

    It is computed by the graph that is exported, so training and serving cannot differ.

    Raises:
        DataError: a derived feature is infinite or undefined on some rows.
    """
    graph = DerivedGraph(schema, derived)
    features = graph.run(matrix)
    for name, rows in graph.faults(features).items():
        raise DataError(
            f"derived feature {name!r} is infinite or undefined in {len(rows)} of {len(features)} rows, "
            f"first in row {rows[0]}",
            cure="Guard the expression (maximum(x, 0.1) below a fraction bar), or bound the input field",
        )
    return features

"""Derived features: declared expressions, compiled into the graph that training and serving both run.

Columns and constants are float32; what is computed from them is computed in float64 and rounded once to float32
(or, where that gives the same bits, in float32).
In float32 alone a sine or a logarithm may differ by one step between a batch (vector instructions) and a single
row (scalar ones), and that step carries rows across tree thresholds, which often are data values.
A truth is 0 or 1. A comparison with a missing value is false, as in numpy; arithmetic with one is missing.
A result that is infinite, or undefined though nothing it reads is missing (a division by zero, the logarithm of
a negative number), is a fault: training refuses the rows, and the exported graph answers NaN, which the serving
side never sends out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import groupby

import numpy as np
import numpy.typing as npt

from rookery.errors import DataError, DefinitionError
from rookery.export.compiler import DerivedCompiler
from rookery.export.families import group_families, is_one_step
from rookery.export.graph import COLUMNS, DOUBLE, FEATURES, FLOAT, GraphBuilder
from rookery.export.intervals import safe_features
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
    used = set().union(*(expression.column_names() for expression in derived.values()))
    wide = DerivedCompiler(builder, _split_columns(builder, builder.add("Cast", COLUMNS, to=DOUBLE), columns, used))
    for expression in derived.values():
        wide.collect_points(expression)
    narrow = DerivedCompiler(builder, _split_columns(builder, COLUMNS, columns, used), element=FLOAT)
    features = _write_features(wide, narrow, derived, {column.name for column in columns})
    return builder.add("Concat", COLUMNS, *features, output=FEATURES, axis=1)


def _split_columns(builder: GraphBuilder, source: str, columns: Sequence[Column], used: Set[str]) -> dict[str, str]:
    """Return the tensor [N, 1] of every used column of `source` by its name."""
    return {
        column.name: builder.add("Gather", source, builder.constant([position], np.int64), axis=1)
        for position, column in enumerate(columns)
        if column.name in used
    }


def _write_features(
    wide: DerivedCompiler, narrow: DerivedCompiler, derived: Mapping[str, Expression], columns: Set[str]
) -> list[str]:
    """Write every derived feature; returns float32 tensors that side by side hold them in their order.

    `wide` computes in float64. What comes out of `narrow`, in float32, with the same bits is written there: every
    conversion is a node more, and a node costs a single row as much as dozens of trees.
    """
    builder = wide.builder
    read = frozenset().union(*(expression.column_names() for expression in derived.values()))
    order: list[str] = []
    written: list[tuple[bool, str]] = []
    for names in group_families(derived, columns):
        members = [derived[name] for name in names]
        for name, member in zip(names, members, strict=True):
            if not member.column_names():
                raise DefinitionError(
                    f"derived feature {name!r} is a constant", cure="Let it read a column, or drop it"
                )
        # A feature that others read is read unrounded.
        is_narrow = is_one_step(members[0]) and members[0].column_names() <= columns and read.isdisjoint(names)
        compiler = narrow if is_narrow else wide
        tensor = compiler.number(members[0]) if len(names) == 1 else compiler.numbers(members)
        written.append((is_narrow, tensor))
        if len(names) == 1:
            wide.tensors[names[0]] = tensor
        order += names
    features: list[str] = []
    for is_narrow, group in groupby(written, key=lambda entry: entry[0]):
        tensors = [tensor for _, tensor in group]
        features += tensors if is_narrow else [builder.add("Cast", _join(builder, tensors), to=FLOAT)]
    if order == list(derived):
        return features
    positions = builder.constant([order.index(name) for name in derived], np.int64)
    return [builder.add("Gather", _join(builder, features), positions, axis=1)]


def _join(builder: GraphBuilder, tensors: Sequence[str]) -> str:
    return tensors[0] if len(tensors) == 1 else builder.add("Concat", *tensors, axis=1)


def write_guard(builder: GraphBuilder, schema: InputSchema, derived: Mapping[str, Expression], result: str) -> str:
    """Add a term to `result` [N, k] that is 0, or NaN on rows with a faulty derived feature.

    Features that cannot be faulty within the columns' bounds are not looked at.
    """
    reads = columns_read(derived)
    optional = {column.name for column in schema.columns if column.optional}
    safe = safe_features(schema.columns, derived)
    faults = []
    for allowed_missing in (False, True):
        positions = [
            schema.width + index
            for index, name in enumerate(derived)
            if name not in safe and bool(reads[name] & optional) is allowed_missing
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

"""Derived features: declared expressions, compiled into the graph that training and serving both run.

Columns are float32; expressions over them are computed in float64, exactly as rules are, and rounded once to
float32. In float32 alone a sine or a logarithm may differ by one step between a batch (vector instructions) and a
single row (scalar ones), and that step carries rows across tree thresholds, which often are data values.
A truth is 0 or 1. A comparison with a missing value is false, as in numpy; arithmetic with one is missing.
A result that is infinite, or undefined though nothing it reads is missing (a division by zero, the logarithm of
a negative number), is a fault: training refuses the rows, and the exported graph answers NaN, which the serving
side never sends out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rookery.errors import DataError, DefinitionError
from rookery.export.graph import COLUMNS, FEATURES, GraphBuilder
from rookery.export.runner import GraphRunner, Matrix
from rookery.fields.columns import Column
from rookery.fields.expression import EARTH_RADIUS_KM, Expression
from rookery.fields.schema import InputSchema

BINARY = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "minimum": "Min",
    "maximum": "Max",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "equal": "Equal",
}
UNARY = {"negative": "Neg", "absolute": "Abs", "log": "Log", "exp": "Exp", "sqrt": "Sqrt"}
FLOAT, DOUBLE, BOOL = 1, 11, 9
"""ONNX's numbers for tensor types, as `Cast` wants them."""


@dataclass(slots=True)
class DerivedCompiler:
    """Writes expressions into a builder; each becomes a float64 or boolean tensor of shape [N, 1]."""

    builder: GraphBuilder
    tensors: dict[str, str] = field(default_factory=dict)
    """The tensor of every column and derived feature by its name."""

    def constant(self, value: npt.ArrayLike) -> str:
        """Return a float64 constant."""
        return self.builder.constant(value, np.float64)

    def number(self, expression: Expression) -> str:
        """Compile to a float64 tensor; a truth becomes 0 or 1."""
        tensor = self._compile(expression)
        is_truth = expression.is_logical and bool(expression.column_names())
        return self.builder.add("Cast", tensor, to=DOUBLE) if is_truth else tensor

    def truth(self, expression: Expression) -> str:
        """Compile to a boolean tensor; a number is true unless it is zero."""
        tensor = self._compile(expression)
        is_truth = expression.is_logical and bool(expression.column_names())
        return tensor if is_truth else self.builder.add("Cast", tensor, to=BOOL)

    def _compile(self, expression: Expression) -> str:
        operator, operands = expression.operator, expression.operands
        if operator == "column":
            return self.tensors[expression.name]
        if not expression.column_names():
            return self.constant(expression.evaluate({}))
        if operator in BINARY:
            return self.builder.add(BINARY[operator], *(self.number(operand) for operand in operands))
        if operator in UNARY:
            return self.builder.add(UNARY[operator], self.number(operands[0]))
        return _SPECIAL[operator](self, expression)

    def log1p(self, expression: Expression) -> str:
        """Compile log(1 + x): float64 keeps an x far below float32's steps around 1."""
        return self.builder.add("Log", self.builder.add("Add", self.number(expression.operands[0]), self.constant(1.0)))

    def logic(self, expression: Expression) -> str:
        """Compile `and`, `or` and `not`."""
        name = {"and": "And", "or": "Or", "not": "Not"}[expression.operator]
        return self.builder.add(name, *(self.truth(operand) for operand in expression.operands))

    def differs(self, expression: Expression) -> str:
        """Compile `not_equal`."""
        return self.builder.add("Not", self.builder.add("Equal", *(self.number(o) for o in expression.operands)))

    def distance_km(self, expression: Expression) -> str:
        """Compile the haversine formula; what depends on a fixed point alone is computed here, once."""
        add, constant = self.builder.add, self.constant
        to_radians = constant(np.pi / 180)
        latitude, longitude, to_latitude, to_longitude = (self.number(operand) for operand in expression.operands)

        def squared_half_sine(start: str, end: str) -> str:
            sine = add("Sin", add("Mul", add("Sub", end, start), constant(np.pi / 360)))
            return add("Mul", sine, sine)

        def cosine(angle: str, operand: Expression) -> str:
            if operand.column_names():
                return add("Cos", add("Mul", angle, to_radians))
            return constant(np.cos(np.radians(operand.evaluate({}))))

        cosines = add("Mul", cosine(latitude, expression.operands[0]), cosine(to_latitude, expression.operands[2]))
        across = add("Mul", cosines, squared_half_sine(longitude, to_longitude))
        chord = add("Min", add("Add", squared_half_sine(latitude, to_latitude), across), constant(1.0))
        return add("Mul", add("Asin", add("Sqrt", chord)), constant(2 * EARTH_RADIUS_KM))

    def inside(self, expression: Expression) -> str:
        """Compile the even-odd rule over all edges at once: [N, 1] points against [1, edges] constants."""
        add, constant = self.builder.add, self.constant
        latitude, longitude = (self.number(operand) for operand in expression.operands)
        ends = np.asarray(expression.polygon, dtype=np.float64)
        starts = np.roll(ends, 1, axis=0)
        sloping = ends[:, 0] != starts[:, 0]
        ends, starts = ends[sloping], starts[sloping]
        slope = (starts[:, 1] - ends[:, 1]) / (starts[:, 0] - ends[:, 0])
        end_latitude = constant(ends[None, :, 0])
        crosses = add(
            "Xor",
            add("Greater", end_latitude, latitude),
            add("Greater", constant(starts[None, :, 0]), latitude),
        )
        offset = add("Mul", add("Sub", latitude, end_latitude), constant(slope[None, :]))
        before = add("Less", longitude, add("Add", offset, constant(ends[None, :, 1])))
        hits = add("Cast", add("And", crosses, before), to=DOUBLE)
        count = add("ReduceSum", hits, self.builder.constant([1], np.int64), keepdims=1)
        return add("Cast", add("Mod", count, constant(2.0), fmod=1), to=BOOL)


_SPECIAL: Mapping[str, Callable[[DerivedCompiler, Expression], str]] = {
    "log1p": DerivedCompiler.log1p,
    "and": DerivedCompiler.logic,
    "or": DerivedCompiler.logic,
    "not": DerivedCompiler.logic,
    "not_equal": DerivedCompiler.differs,
    "distance_km": DerivedCompiler.distance_km,
    "inside": DerivedCompiler.inside,
}


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
    for name, expression in derived.items():
        if not expression.column_names():
            raise DefinitionError(f"derived feature {name!r} is a constant", cure="Let it read a column, or drop it")
        compiler.tensors[name] = compiler.number(expression)
    features = [compiler.tensors[name] for name in derived]
    together = features[0] if len(features) == 1 else builder.add("Concat", *features, axis=1)
    return builder.add("Concat", COLUMNS, builder.add("Cast", together, to=FLOAT), output=FEATURES, axis=1)


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

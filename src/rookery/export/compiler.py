"""Expressions, compiled into ONNX nodes over tensors of shape [N, 1]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rookery.export.families import COMPARISONS, EXACT
from rookery.export.graph import BOOL, DOUBLE, FLOAT, GraphBuilder
from rookery.fields.expression import EARTH_RADIUS_KM, Expression

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


@dataclass(slots=True)
class DerivedCompiler:
    """Writes expressions into a builder; each becomes a float64 or boolean tensor of shape [N, 1].

    With `element` FLOAT it computes in float32 throughout, which is for expressions that `is_one_step` tells of.
    """

    builder: GraphBuilder
    tensors: dict[str, str]
    """The tensor of every column and derived feature by its name."""
    element: int = DOUBLE
    points: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)
    """The fixed points that distances are asked to, by the columns of latitude and longitude."""
    distances: dict[tuple[str, str], str] = field(default_factory=dict)
    """The tensor of those distances, [N, points]."""

    def collect_points(self, expression: Expression) -> None:
        """Note every fixed point that the expression asks the distance to."""
        if pair := _fixed_point(expression):
            known = self.points.setdefault(pair[0], [])
            if pair[1] not in known:
                known.append(pair[1])
        for operand in expression.operands:
            self.collect_points(operand)

    def constant(self, value: npt.ArrayLike) -> str:
        """Return a constant of the computation's type."""
        return self.builder.constant(value, np.float64 if self.element == DOUBLE else np.float32)

    def number(self, expression: Expression) -> str:
        """Compile to a tensor of numbers; a truth becomes 0 or 1."""
        tensor = self._compile(expression)
        is_truth = expression.is_logical and bool(expression.column_names())
        return self.builder.add("Cast", tensor, to=self.element) if is_truth else tensor

    def numbers(self, expressions: Sequence[Expression]) -> str:
        """Compile a family (see `families`) to one tensor of numbers [N, expressions]."""
        first = expressions[0]
        if not first.column_names():
            return self.constant(np.asarray([[expression.evaluate({}) for expression in expressions]], np.float32))
        if first.operator not in EXACT:
            return self.number(first)  # the same in all of them
        parts = zip(*(expression.operands for expression in expressions), strict=True)
        result = self.builder.add((BINARY | UNARY)[first.operator], *(self.numbers(part) for part in parts))
        return self.builder.add("Cast", result, to=self.element) if first.operator in COMPARISONS else result

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
            # float32, as the columns are: an input of 0.1 then equals the constant 0.1
            return self.constant(np.float32(expression.evaluate({})))
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
        """Compile a great-circle distance; distances from one column pair to fixed points share their nodes."""
        if not (pair := _fixed_point(expression)):
            degrees = [self.number(operand) for operand in expression.operands]
            return self._haversine(degrees[0], degrees[1], degrees[2], degrees[3], self._cosine(degrees[2]))
        origin, point = pair
        points = self.points[origin]
        if origin not in self.distances:
            latitude, longitude = (self.tensors[name] for name in origin)
            ends = np.asarray(points, dtype=np.float64)[None, :, :]
            cosine = self.constant(np.cos(np.radians(ends[..., 0])))
            self.distances[origin] = self._haversine(
                latitude, longitude, self.constant(ends[..., 0]), self.constant(ends[..., 1]), cosine
            )
        position = self.builder.constant([points.index(point)], np.int64)
        return self.builder.add("Gather", self.distances[origin], position, axis=1)

    def _cosine(self, degrees: str) -> str:
        return self.builder.add("Cos", self.builder.add("Mul", degrees, self.constant(np.pi / 180)))

    def _haversine(self, latitude: str, longitude: str, to_latitude: str, to_longitude: str, to_cosine: str) -> str:
        """Write the haversine formula over tensors that broadcast to [N, points]; angles in degrees."""
        add, constant = self.builder.add, self.constant

        def squared_half_sine(start: str, end: str) -> str:
            sine = add("Sin", add("Mul", add("Sub", end, start), constant(np.pi / 360)))
            return add("Mul", sine, sine)

        cosines = add("Mul", self._cosine(latitude), to_cosine)
        across = add("Mul", cosines, squared_half_sine(longitude, to_longitude))
        chord = add("Min", add("Add", squared_half_sine(latitude, to_latitude), across), constant(1.0))
        return add("Mul", self._arcsine(chord), constant(2 * EARTH_RADIUS_KM))

    def _arcsine(self, square: str) -> str:
        """Write arcsin(sqrt(x)) in float64, which ONNX Runtime has for float32 only.

        The float32 angle a is near enough for one exact correction: with s = sqrt(x) and c = sqrt(1 - x) the sine
        and cosine of the true angle, s cos a - c sin a is the sine of what is missing, and so small as to equal it.
        """
        add = self.builder.add
        sine, cosine = add("Sqrt", square), add("Sqrt", add("Sub", self.constant(1.0), square))
        angle = add("Cast", add("Asin", add("Cast", sine, to=FLOAT)), to=DOUBLE)
        missing = add("Sub", add("Mul", sine, add("Cos", angle)), add("Mul", cosine, add("Sin", angle)))
        return add("Add", angle, missing)

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


def _fixed_point(expression: Expression) -> tuple[tuple[str, str], tuple[float, float]] | None:
    """Return a distance's two columns and its fixed point; None if it is no distance from columns to such a point."""
    if expression.operator != "distance_km" or any(operand.operator != "column" for operand in expression.operands[:2]):
        return None
    latitude, longitude, *ends = expression.operands
    if any(end.column_names() for end in ends):
        return None
    return (latitude.name, longitude.name), (float(ends[0].evaluate({})), float(ends[1].evaluate({})))


_SPECIAL: Mapping[str, Callable[[DerivedCompiler, Expression], str]] = {
    "log1p": DerivedCompiler.log1p,
    "and": DerivedCompiler.logic,
    "or": DerivedCompiler.logic,
    "not": DerivedCompiler.logic,
    "not_equal": DerivedCompiler.differs,
    "distance_km": DerivedCompiler.distance_km,
    "inside": DerivedCompiler.inside,
}

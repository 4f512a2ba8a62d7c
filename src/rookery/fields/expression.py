"""Expressions over columns: declared once, checked as rules, compiled into graphs as derived features.

An expression is a small immutable tree. The same tree is evaluated by numpy (rules on the serving side), written
to a manifest as JSON, and compiled to ONNX operators (derived features, in the training room).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rookery.errors import DefinitionError
from rookery.fields.geometry import EARTH_RADIUS_KM as EARTH_RADIUS_KM
from rookery.fields.geometry import Polygon, is_inside, measure_km

Array: TypeAlias = npt.NDArray[Any]
Operand: TypeAlias = "Expression | float | int"

OPERATORS: Mapping[str, Callable[..., Array]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "negative": np.negative,
    "absolute": np.abs,
    "log": np.log,
    "log1p": np.log1p,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "distance_km": measure_km,
}
"""Every operator by its name in manifests; `inside` is the one more, with a polygon as its parameter."""

LOGICAL = frozenset(
    {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "and", "or", "not", "inside"}
)
"""Operators whose result is true or false."""

DEEPEST = 100
"""Levels of operators that an expression read from JSON may have."""

_CONNECTIVES = frozenset({"and", "or", "not"})
_UNARY = frozenset({"negative", "absolute", "log", "log1p", "exp", "sqrt", "not"})


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A node: a column, a constant, or an operator over other expressions.

    Compare with `<`, `<=`, `>`, `>=`, `.equals`, `.differs`; combine truths with `&`, `|`, `~`.
    """

    operator: str
    """`column`, `constant`, `inside`, or a key of `OPERATORS`."""
    operands: tuple[Expression, ...] = ()
    name: str = ""
    value: float = 0.0
    polygon: Polygon = ()

    @property
    def is_logical(self) -> bool:
        """Whether the result is true or false rather than a number."""
        return self.operator in LOGICAL

    def column_names(self) -> frozenset[str]:
        """Return the names of every column the expression reads."""
        if self.operator == "column":
            return frozenset({self.name})
        return frozenset().union(*(operand.column_names() for operand in self.operands))

    def evaluate(self, columns: Mapping[str, Array]) -> Array:
        """Compute the expression over arrays of shape [n]; returns shape [n] (or [] for constants).

        Constants take the columns' type, so that a float32 column that holds 0.1 equals the constant 0.1.
        """
        if self.operator == "column":
            return columns[self.name]
        if self.operator == "constant":
            first = next(iter(columns.values()), None)
            return np.asarray(self.value, dtype=np.float64 if first is None else first.dtype)
        arguments = [operand.evaluate(columns) for operand in self.operands]
        if self.operator == "inside":
            return is_inside(arguments[0], arguments[1], self.polygon)
        return OPERATORS[self.operator](*arguments)

    def to_json(self) -> Any:
        """Return the expression as JSON values: a name, a number, or `{"op": …, "args": […]}`."""
        if self.operator == "column":
            return self.name
        if self.operator == "constant":
            return self.value
        node: dict[str, Any] = {"op": self.operator, "args": [operand.to_json() for operand in self.operands]}
        if self.polygon:
            node["polygon"] = [list(vertex) for vertex in self.polygon]
        return node

    def __add__(self, other: Operand) -> Expression:
        return _node("add", self, other)

    def __radd__(self, other: Operand) -> Expression:
        return _node("add", other, self)

    def __sub__(self, other: Operand) -> Expression:
        return _node("subtract", self, other)

    def __rsub__(self, other: Operand) -> Expression:
        return _node("subtract", other, self)

    def __mul__(self, other: Operand) -> Expression:
        return _node("multiply", self, other)

    def __rmul__(self, other: Operand) -> Expression:
        return _node("multiply", other, self)

    def __truediv__(self, other: Operand) -> Expression:
        return _node("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Expression:
        return _node("divide", other, self)

    def __neg__(self) -> Expression:
        return _node("negative", self)

    def __abs__(self) -> Expression:
        return _node("absolute", self)

    def __lt__(self, other: Operand) -> Expression:
        return _node("less", self, other)

    def __le__(self, other: Operand) -> Expression:
        return _node("less_equal", self, other)

    def __gt__(self, other: Operand) -> Expression:
        return _node("greater", self, other)

    def __ge__(self, other: Operand) -> Expression:
        return _node("greater_equal", self, other)

    def __and__(self, other: Expression) -> Expression:
        return _logical_node("and", self, other)

    def __or__(self, other: Expression) -> Expression:
        return _logical_node("or", self, other)

    def __invert__(self) -> Expression:
        return _logical_node("not", self)

    def __bool__(self) -> bool:
        raise DefinitionError(
            "an expression has no truth of its own",
            cure="Combine comparisons with & and |, not with 'and', 'or' or chained comparisons",
        )

    def equals(self, other: Operand) -> Expression:
        """Compare for equality (`==` keeps its ordinary meaning between expressions)."""
        return _node("equal", self, other)

    def differs(self, other: Operand) -> Expression:
        """Compare for inequality."""
        return _node("not_equal", self, other)


def _wrap(operand: Any) -> Expression:
    if isinstance(operand, Expression):
        return operand
    if isinstance(operand, (int, float)) and math.isfinite(operand):
        return Expression("constant", value=float(operand))
    raise DefinitionError(
        f"{operand!r:.100} is neither a finite number nor an expression",
        cure="Name columns with col('name'); a category is compared by its position among the allowed ones",
    )


def _node(operator: str, *operands: Operand) -> Expression:
    return Expression(operator, tuple(_wrap(operand) for operand in operands))


def _logical_node(operator: str, *operands: Any) -> Expression:
    node = _node(operator, *operands)
    if not all(operand.is_logical for operand in node.operands):
        raise DefinitionError(
            f"{operator!r} combines truths, and one of its operands is a number",
            cure="Put comparisons in parentheses: (col('a') > 0) & (col('b') > 0)",
        )
    return node


def col(name: str) -> Expression:
    """Refer to a column (or to an earlier derived feature) by its name."""
    given: Any = name
    if not isinstance(given, str) or not given:
        raise DefinitionError(f"col({name!r:.50}) names no column", cure="Give the column's name as a text")
    return Expression("column", name=name)


def log(operand: Operand) -> Expression:
    """Return the natural logarithm."""
    return _node("log", operand)


def log1p(operand: Operand) -> Expression:
    """Return log(1 + x)."""
    return _node("log1p", operand)


def exp(operand: Operand) -> Expression:
    """Return e to the power of the operand."""
    return _node("exp", operand)


def sqrt(operand: Operand) -> Expression:
    """Return the square root."""
    return _node("sqrt", operand)


def minimum(first: Operand, *others: Operand) -> Expression:
    """Return the smallest of the operands, row by row."""
    result = _wrap(first)
    for other in others:
        result = _node("minimum", result, other)
    return result


def maximum(first: Operand, *others: Operand) -> Expression:
    """Return the largest of the operands, row by row."""
    result = _wrap(first)
    for other in others:
        result = _node("maximum", result, other)
    return result


def distance_km(latitude: Operand, longitude: Operand, to_latitude: Operand, to_longitude: Operand) -> Expression:
    """Return the great-circle distance in km between two points given in degrees (haversine)."""
    return _node("distance_km", latitude, longitude, to_latitude, to_longitude)


def inside(latitude: Operand, longitude: Operand, polygon: Sequence[tuple[float, float]]) -> Expression:
    """Tell whether a point lies inside a polygon of (latitude, longitude) vertices in degrees."""
    if len(polygon) < 3:
        raise DefinitionError(f"a polygon of {len(polygon)} vertices encloses nothing", cure="Give at least three")
    try:
        vertices = tuple((float(lat), float(lon)) for lat, lon in polygon)
    except (TypeError, ValueError) as error:
        raise DefinitionError(
            f"a polygon's vertex is no pair of numbers: {error}", cure="Give (latitude, longitude) pairs"
        ) from error
    if not all(math.isfinite(angle) for vertex in vertices for angle in vertex):
        raise DefinitionError("a polygon's vertex is not finite", cure="Give degrees")
    return Expression("inside", (_wrap(latitude), _wrap(longitude)), polygon=vertices)


def expression_from_json(node: Any) -> Expression:
    """Rebuild an expression from what `Expression.to_json` wrote.

    Raises:
        DefinitionError: the JSON is not an expression, names an operator that does not exist, or is nested too deeply.
    """
    return _from_json(node, DEEPEST)


def _from_json(node: Any, depth: int) -> Expression:
    if depth == 0:
        raise DefinitionError(f"an expression is nested more than {DEEPEST} levels deep", cure="Split it up")
    if isinstance(node, str) and node:
        return col(node)
    if isinstance(node, (int, float)) and not isinstance(node, bool):
        return _wrap(node)
    if isinstance(node, dict) and isinstance(node.get("args"), list):
        operator = node.get("op")
        operands = [_from_json(argument, depth - 1) for argument in node["args"]]
        if operator == "inside" and len(operands) == 2 and isinstance(node.get("polygon"), list):
            return inside(operands[0], operands[1], node["polygon"])
        if isinstance(operator, str) and operator in OPERATORS and len(operands) == _count_operands(operator):
            return (_logical_node if operator in _CONNECTIVES else _node)(operator, *operands)
    raise DefinitionError(f"{node!r:.200} is not an expression", cure="Write expressions with Expression.to_json")


def _count_operands(operator: str) -> int:
    """Return how many operands an operator of `OPERATORS` takes."""
    return 4 if operator == "distance_km" else 1 if operator in _UNARY else 2


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition every input row must meet, with the message its breach gets.

    A row whose condition reads a missing optional value is not judged.
    """

    condition: Expression
    message: str
    fields: tuple[str, ...] = ()
    """The input fields to blame; by default all that the condition reads."""

    def __post_init__(self) -> None:
        condition: Any = self.condition
        blamed: Any = self.fields
        if not self.message.strip():
            raise DefinitionError("a rule has no message", cure="Say what the client should correct")
        if not isinstance(condition, Expression):
            raise DefinitionError(
                f"rule {self.message!r}: its condition is {condition!r:.50}, not an expression",
                cure="Compare columns with <, <=, >, >=, .equals() or .differs()",
            )
        if not self.condition.is_logical:
            raise DefinitionError(
                f"rule {self.message!r}: its condition is a number, not a truth", cure="Compare it with something"
            )
        if not self.condition.column_names():
            raise DefinitionError(f"rule {self.message!r}: its condition reads no column", cure="Name one with col()")
        object.__setattr__(self, "fields", (blamed,) if isinstance(blamed, str) else tuple(blamed))

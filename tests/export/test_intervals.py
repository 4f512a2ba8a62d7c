"""A derived feature that is called safe is finite for every input within the bounds, and needs no guard."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto
from pydantic import BaseModel, Field, create_model
from sklearn.ensemble import RandomForestRegressor

from rookery.errors import DefinitionError
from rookery.export.convert import export_estimator
from rookery.export.derived import DerivedGraph, derive
from rookery.export.intervals import LARGEST, safe_features
from rookery.fields.columns import Column
from rookery.fields.expression import (
    Expression,
    col,
    distance_km,
    exp,
    inside,
    log,
    log1p,
    maximum,
    minimum,
    sqrt,
)
from rookery.fields.schema import InputSchema, read_input_model
from rookery.service.task import Regression
from tests.export.samples import HOUSE, house_prices, house_rows

A, B = col("a"), col("b")


class Bounded(BaseModel):
    """Fields whose bounds say much, little and nothing."""

    a: float = Field(ge=1, le=100)
    b: float = Field(ge=-5, le=5)
    positive: float = Field(gt=0)
    free: float
    gap: float | None = Field(None, ge=1, le=2)
    count: int = Field(ge=1, le=12)
    flag: bool
    place: Literal["x", "y", "z"]


BOUNDED = read_input_model(Bounded)
SAFE: dict[str, Expression] = {
    "quotient": B / A,
    "root": sqrt(abs(B)),
    "logarithm": log(A),
    "log of more than one": log1p(A * 0.5),
    "power": exp(B),
    "truth": col("free") / col("positive") > 0.0,
    "missing compared": col("gap") > 1.0,
    "guarded": A / maximum(B, 0.1),
    "category": 1 / (col("place") + 1.0),
    "flag": col("flag") * -3.0,
    "count": A / col("count"),
    "free": -col("free"),
    "smallest": minimum(A, B, col("free")),
    "constants": A * (exp(Expression("constant", value=1.0)) - 1.0),
    "distance": distance_km(B, col("free"), 2.0, -3.0),
    "polygon": inside(col("free"), B, [(0, 0), (0, 5), (5, 5)]),
}
UNSAFE: dict[str, Expression] = {
    "division by what may be zero": A / B,
    "division by what rounds to zero": A / col("positive"),
    "division by a flag": A / col("flag"),
    "root of what may be negative": sqrt(B),
    "logarithm of zero": log(col("place")),
    "logarithm of minus one and less": log1p(B),
    "beyond float64": exp(A * 10),
    "beyond float32": col("free") * 2.0,
    "missing": col("gap") + 1.0,
    "missing among others": minimum(A, col("gap")),
    "from beyond the poles": distance_km(A, B, 2.0, -3.0),
    "infinite and back": 1 / exp(A * 10),
}


@pytest.mark.parametrize("name", SAFE)
def test_what_cannot_fail_is_called_safe(name: str) -> None:
    assert safe_features(BOUNDED.columns, {"x": SAFE[name]}) == {"x"}


@pytest.mark.parametrize("name", UNSAFE)
def test_what_can_fail_is_not(name: str) -> None:
    assert safe_features(BOUNDED.columns, {"x": UNSAFE[name]}) == set()


def test_a_feature_is_judged_by_the_features_it_reads() -> None:
    derived = {"ratio": A / B, "shifted": col("ratio") + 1.0, "part": B / A, "log": log(col("part") + 6.0)}
    assert safe_features(BOUNDED.columns, derived) == {"part", "log"}


EDGES = st.one_of(
    st.sampled_from([0.0, 0.1, -0.1, 1.0, -1.0, 1e-40, 1e-300, 90.0, 3e38, -3e38]),
    st.floats(-1e6, 1e6),
    st.floats(-4, 4),
)


@st.composite
def bounded_models(draw: st.DrawFn) -> InputSchema:
    field: Any = Field
    fields: dict[str, Any] = {}
    for name in ("a", "b"):
        low, high = sorted((draw(EDGES), draw(EDGES)))
        kind = draw(st.sampled_from([("ge", "le"), ("gt", "lt")])) if high > low else ("ge", "le")
        bounds = draw(st.sampled_from([kind, kind, kind[:1], kind[1:], ()]))
        fields[name] = (float, field(**{key: {kind[0]: low, kind[1]: high}[key] for key in bounds}))
    try:
        return read_input_model(create_model("Drawn", **fields))
    except DefinitionError:
        return BOUNDED


CONSTANTS = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e30, 1e-30, 0.1]), st.floats(-100, 100))
LEAVES = st.one_of(st.sampled_from([A, A, B]), CONSTANTS.map(lambda value: Expression("constant", value=value)))


def _combine(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    unary = st.sampled_from([lambda x: -x, abs, log, log1p, exp, sqrt])
    binary = st.sampled_from(
        [
            lambda x, y: x + y,
            lambda x, y: x - y,
            lambda x, y: x * y,
            lambda x, y: x / y,
            minimum,
            maximum,
            lambda x, y: x > y,
            lambda x, y: x.equals(y),
            lambda x, y: distance_km(x, y, 10.0, 20.0),
        ]
    )
    return st.one_of(
        st.builds(lambda make, x: make(x), unary, inner), st.builds(lambda make, x, y: make(x, y), binary, inner, inner)
    )


EXPRESSIONS = st.recursive(LEAVES, _combine, max_leaves=6).filter(lambda found: bool(found.column_names()))


def _edge_values(column: Column, draw: Any) -> list[float]:
    """Return values that a column takes, its extreme ones first, as float32 holds them."""
    lows = [bound for bound in (column.minimum, column.exclusive_minimum) if bound is not None]
    highs = [bound for bound in (column.maximum, column.exclusive_maximum) if bound is not None]
    low, high = max(lows, default=-LARGEST), min(highs, default=LARGEST)
    inner = draw(st.lists(st.floats(low, high), max_size=3))
    specials = [value for value in (0.0, -0.0, 1e-45, -1e-45, 1.0, -1.0, 90.0) if low <= value <= high]
    return [low, high, *inner, *specials]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_safe_feature_is_finite_within_the_bounds(data: st.DataObject) -> None:
    schema = data.draw(bounded_models())
    derived = {"x": data.draw(EXPRESSIONS), "y": data.draw(EXPRESSIONS)}
    safe = safe_features(schema.columns, derived)
    position = {column.name: index for index, column in enumerate(schema.columns)}
    left, right = (_edge_values(schema.columns[position[name]], data.draw) for name in ("a", "b"))
    matrix = np.ones((len(left) * len(right), schema.width), np.float32)
    matrix[:, position["a"]], matrix[:, position["b"]] = np.repeat(left, len(right)), np.tile(right, len(left))
    with np.errstate(all="ignore"):
        found = DerivedGraph(schema, derived).run(matrix)
    for offset, name in enumerate(derived):
        if name in safe:
            assert np.isfinite(found[:, schema.width + offset]).all()


def test_a_graph_of_safe_features_has_no_guard() -> None:
    def operators(**derived: Expression) -> list[str]:
        matrix = house_rows(rows=40)
        estimator = RandomForestRegressor(3, random_state=0).fit(derive(HOUSE, derived, matrix), house_prices(matrix))
        exported = export_estimator(estimator, schema=HOUSE, derived=derived, task=Regression())
        return [node.op_type for node in ModelProto.FromString(exported.model).graph.node]

    safe, unsafe = col("area") / col("rooms"), col("rooms") / col("area")
    assert operators(x=safe) == ["Gather", "Gather", "Div", "Concat", "TreeEnsembleRegressor", "Reshape"]
    assert operators(x=safe, y=unsafe).count("ReduceSum") == 1


ANY_FLOAT32 = st.one_of(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(-4, 4, width=32))
ONE_STEP: dict[str, Expression] = {
    "sum": A + B,
    "difference": 0.1 - A,
    "product": A * B,
    "quotient": A / B,
    "opposite": -A,
    "size": abs(B),
    "less": A < B,
    "same": A.equals(0.1),
    "other": A.differs(B),
    "all": (A > 0) & (B > 0) & ~(A > B),
}


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(st.tuples(ANY_FLOAT32, ANY_FLOAT32), min_size=1, max_size=20))
def test_one_step_in_float32_gives_the_bits_of_float64_rounded_once(rows: list[tuple[float, float]]) -> None:
    schema = read_input_model(create_model("Two", a=(float, ...), b=(float, ...)))
    matrix = np.asarray(rows, dtype=np.float32)
    found = DerivedGraph(schema, ONE_STEP).run(matrix)
    columns = {"a": matrix[:, 0].astype(np.float64), "b": matrix[:, 1].astype(np.float64)}
    constants = {"difference": np.float64(np.float32(0.1)) - columns["a"], "same": columns["a"] == np.float32(0.1)}
    with np.errstate(all="ignore"):
        for position, (name, expression) in enumerate(ONE_STEP.items(), start=2):
            wide = constants.get(name, expression.evaluate(columns))
            np.testing.assert_array_equal(found[:, position], np.asarray(wide).astype(np.float32), err_msg=name)


def test_a_feature_that_another_reads_is_read_unrounded() -> None:
    schema = read_input_model(create_model("Two", a=(float, ...), b=(float, ...)))
    matrix = np.random.default_rng(0).uniform(1, 9, (200, 2)).astype(np.float32)
    found = DerivedGraph(schema, {"ratio": A / B, "back": col("ratio") * B}).run(matrix)
    np.testing.assert_array_equal(found[:, 3], matrix[:, 0])

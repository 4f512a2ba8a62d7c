"""Derived features: the graph computes what the expressions mean, alike in batches and alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto
from pydantic import BaseModel
from sklearn.ensemble import RandomForestRegressor

from rookery.errors import DataError, DefinitionError
from rookery.export.convert import export_estimator
from rookery.export.derived import DerivedGraph, columns_read, derive, write_derived
from rookery.export.families import group_families
from rookery.export.graph import COLUMNS, GraphBuilder
from rookery.export.parity import prove
from rookery.export.runner import GraphRunner
from rookery.fields.expression import (
    OPERATORS,
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
from rookery.fields.schema import read_input_model
from rookery.service.task import Regression
from tests.export.samples import DERIVED, HOUSE, house_prices, house_rows


class Point(BaseModel):
    """Three numbers; `c` may be missing."""

    a: float
    b: float
    c: float | None = None


POINT = read_input_model(Point)
TRIANGLE = ((-3.0, -3.0), (4.0, 0.5), (-1.0, 5.0))
A, B = col("a"), col("b")

EXPRESSIONS: dict[str, Expression] = {
    "add": A + B,
    "subtract": A - 2.5,
    "multiply": 1.5 * A,
    "divide": A / (abs(B) + 0.5),
    "minimum": minimum(A, B, 0.25),
    "maximum": maximum(A, B, -0.25),
    "negative": -A,
    "absolute": abs(A),
    "log": log(abs(A) + 0.1),
    "log1p": log1p(abs(A) * 1e-6),
    "exp": exp(A / 4),
    "sqrt": sqrt(abs(A)),
    "less": A < B,
    "less_equal": A <= 1.0,
    "greater": A > B,
    "greater_equal": A >= 1.0,
    "equal": A.equals(B),
    "not_equal": A.differs(2.0),
    "and": (A > 0) & (B > 0),
    "or": (A > 0) | (B > 0),
    "not": ~(A > 0),
    "distance_km": distance_km(A, B, 2.0, -3.0),
    "inside": inside(A, B, TRIANGLE),
}
VARIANTS: dict[str, Expression] = {
    "distance between two moving points": distance_km(A, B, B, A),
    "truth as a number": (A > 0) * B + 1.0,
    "a constant truth": (A > 0) & (Expression("constant", value=1.0) < 2.0),
    "a concave polygon": inside(A, B, [(0, 0), (6, 0), (6, 6), (3, 2), (0, 6)]),
    "a polygon with level edges": inside(A, B, [(0, 0), (0, 5), (5, 5), (5, 0)]),
    "constants folded": A * (exp(Expression("constant", value=1.0)) - 1.0),
}
NUMBERS = st.floats(-8, 8, width=32)


def test_every_operator_has_a_test() -> None:
    assert set(EXPRESSIONS) == {*OPERATORS, "inside"}


@pytest.mark.parametrize("name", [*EXPRESSIONS, *VARIANTS])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_operator_gives_what_its_expression_evaluates_to(name: str, data: st.DataObject) -> None:
    """The graph's result is the float64 evaluation over the float32 columns, rounded to float32."""
    expression = (EXPRESSIONS | VARIANTS)[name]
    rows = data.draw(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12))
    matrix = np.asarray([(a, b, 0.0) for a, b in rows], dtype=np.float32)
    found = derive(POINT, {"x": expression}, matrix)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, :3], matrix)
    columns: dict[str, Any] = {"a": matrix[:, 0].astype(np.float64), "b": matrix[:, 1].astype(np.float64)}
    expected = np.asarray(expression.evaluate(columns), dtype=np.float64)
    np.testing.assert_allclose(found[:, 3], expected, rtol=3e-7, atol=1e-7)


def test_distances_are_right_from_a_metre_to_the_other_side_of_the_earth() -> None:
    places = {"same": (2.0, -3.0), "metre": (2.00001, -3.0), "far": (40.0, 100.0), "near the antipode": (-2.01, 177.02)}
    matrix = np.asarray([(*place, 0.0) for place in places.values()], dtype=np.float32)
    found = derive(POINT, {"x": EXPRESSIONS["distance_km"]}, matrix)[:, 3]
    columns = {"a": matrix[:, 0].astype(np.float64), "b": matrix[:, 1].astype(np.float64)}
    np.testing.assert_allclose(found, EXPRESSIONS["distance_km"].evaluate(columns), rtol=1e-7, atol=1e-6)


def test_a_constant_equals_the_input_it_is_written_as() -> None:
    matrix = np.asarray([(0.1, 0.3, 0.0)], dtype=np.float32)
    derived = {"equal": A.equals(0.1), "at_most": A <= 0.1, "below": A < 0.1}
    assert derive(POINT, derived, matrix)[0, 3:].tolist() == [1.0, 1.0, 0.0]


def test_later_features_read_earlier_ones() -> None:
    matrix = house_rows(rows=5)
    derived = {"double": col("area") * 2, "quadruple": col("double") * 2}
    np.testing.assert_allclose(derive(HOUSE, derived, matrix)[:, 8], matrix[:, 0] * 4)
    assert columns_read(derived) == {"double": {"area"}, "quadruple": {"area"}}


def test_rows_alone_give_the_very_bits_that_batches_give() -> None:
    """One float32 step between a batch and a single row would carry rows across tree thresholds."""
    cities = {f"city_{i}": distance_km(col("latitude"), col("longitude"), 33.0 + i, -120.0) for i in range(4)}
    derived = DERIVED | cities | {"nearest": minimum(*(col(name) for name in cities)), "root": sqrt(col("area"))}
    derived |= {"power": exp(col("distance") / 10), "log": log(col("area"))}
    matrix = house_rows(rows=700)
    graph = DerivedGraph(HOUSE, derived)
    batch = graph.run(matrix)
    for size in (1, 3, 16):
        parts = [graph.run(matrix[start : start + size]) for start in range(0, len(matrix), size)]
        np.testing.assert_array_equal(np.concatenate(parts), batch)


def test_shared_parts_and_fixed_points_are_written_once() -> None:
    def nodes(points: int) -> int:
        derived = {f"d{i}": distance_km(col("latitude"), col("longitude"), 33.0 + i, -120.0) for i in range(points)}
        builder = GraphBuilder()
        write_derived(builder, HOUSE.columns, derived)
        return len(builder.nodes)

    assert nodes(6) - nodes(2) == 4


FAMILIES: dict[str, Expression] = {
    "tilt_1": col("area") * 0.1 + col("distance") * 0.7,
    "log_distance": log1p(col("distance")),
    "slow_1": sqrt(log1p(col("distance")) * 0.3) - 1.5,
    "tilt_2": col("area") * 0.3 + col("distance") * -0.9,
    "per_room_1": -(col("area") - 10.0) / col("rooms"),
    "same": col("area") / col("rooms"),
    "tilt_3": col("area") * 1e-7 + col("distance") * 1e7,
    "slow_2": sqrt(log1p(col("distance")) * 7.1) - 0.1,
    "same_again": col("area") / col("rooms"),
    "per_room_2": -(col("area") - 0.1) / col("rooms"),
    "turned": col("distance") * 0.1 + col("area") * 0.7,
    "tilt_read": col("area") * 0.5 + col("distance") * 0.5,
    "later": col("tilt_read") * 0.5 + col("distance") * 0.5,
}
"""Features of three families, in mixed order, among others that only look alike."""


def test_a_family_gives_the_very_bits_that_its_members_give_alone_in_their_order() -> None:
    matrix = house_rows(rows=700)
    together = DerivedGraph(HOUSE, FAMILIES).run(matrix)
    for position, (name, expression) in enumerate(FAMILIES.items(), HOUSE.width):
        alone = {name: expression}
        if name == "later":
            alone = {"tilt_read": FAMILIES["tilt_read"], name: expression}
        np.testing.assert_array_equal(
            together[:, position], DerivedGraph(HOUSE, alone).run(matrix)[:, -1], err_msg=name
        )
    graph = DerivedGraph(HOUSE, FAMILIES)
    rows = [graph.run(matrix[row : row + 1]) for row in range(50)]
    np.testing.assert_array_equal(np.concatenate(rows), together[:50])


def test_features_that_differ_in_constants_share_their_nodes() -> None:
    assert group_families(FAMILIES, {column.name for column in HOUSE.columns}) == [
        ["tilt_1", "tilt_2", "tilt_3"],
        ["log_distance"],
        ["slow_1", "slow_2"],
        ["per_room_1", "per_room_2"],
        ["same"],
        ["same_again"],
        ["turned"],
        ["tilt_read"],
        ["later"],
    ]

    def nodes(members: int) -> int:
        builder = GraphBuilder()
        derived = {f"d{i}": col("area") * (1.5 + i) + col("rooms") * (0.5 - i) for i in range(members)}
        write_derived(builder, HOUSE.columns, derived)
        return len(builder.nodes)

    assert nodes(40) == nodes(2)


def test_no_derived_features_add_no_node() -> None:
    builder = GraphBuilder()
    assert write_derived(builder, HOUSE.columns, {}) == COLUMNS
    assert builder.nodes == []
    matrix = house_rows(rows=3)
    assert derive(HOUSE, {}, matrix) is matrix


def test_a_derived_feature_that_reads_nothing_is_refused() -> None:
    with pytest.raises(DefinitionError, match="'x' is a constant"):
        derive(POINT, {"x": Expression("constant", value=3.0)}, np.zeros((1, 3), np.float32))


@pytest.mark.parametrize(
    ("expression", "bad"),
    [(A / B, (1.0, 0.0, 0.0)), (log(A), (-1.0, 0.0, 0.0)), (sqrt(A), (-1.0, 0.0, 0.0)), (exp(A), (200.0, 0.0, 0.0))],
    ids=["division by zero", "logarithm of a negative", "root of a negative", "beyond float32"],
)
def test_undefined_features_are_refused_at_training_and_unanswered_at_serving(
    expression: Expression, bad: tuple[float, float, float]
) -> None:
    matrix = np.asarray([(1.0, 2.0, 3.0), bad, (2.0, 1.0, 3.0)], dtype=np.float32)
    with pytest.raises(DataError, match=r"'x' is infinite or undefined in 1 of 3 rows, first in row 1"):
        derive(POINT, {"x": expression}, matrix)
    good = np.random.default_rng(0).uniform(1, 3, (40, 3)).astype(np.float32)
    estimator = RandomForestRegressor(3, random_state=0).fit(derive(POINT, {"x": expression}, good), good[:, 0])
    exported = export_estimator(estimator, schema=POINT, derived={"x": expression}, task=Regression())
    answers = GraphRunner(exported.model).run(matrix)
    assert np.isfinite(answers).tolist() == [True, False, True]
    report = prove(estimator, exported, schema=POINT, derived={"x": expression}, task=Regression(), matrix=good)
    assert report.rows > 0


def test_a_missing_optional_value_makes_its_feature_missing_and_no_fault() -> None:
    derived = {"sum": col("a") + col("c"), "above": col("c") > 0.0, "ratio": col("a") / col("c")}
    matrix = np.asarray([(1.0, 0.0, np.nan), (1.0, 0.0, 2.0)], dtype=np.float32)
    found = derive(POINT, derived, matrix)
    np.testing.assert_array_equal(found[0, 3:], np.asarray([np.nan, 0.0, np.nan], dtype=np.float32))
    np.testing.assert_array_equal(found[1, 3:], np.asarray([3.0, 1.0, 0.5], dtype=np.float32))
    with pytest.raises(DataError, match="'ratio' is infinite"):
        derive(POINT, derived, np.asarray([(1.0, 0.0, 0.0)], dtype=np.float32))


def test_the_exported_graph_answers_missing_values_but_no_infinite_feature() -> None:
    draw = np.random.default_rng(0)
    matrix = draw.uniform(1, 3, (60, 3)).astype(np.float32)
    matrix[::4, 2] = np.nan
    derived = {"ratio": col("a") / col("c")}
    estimator = RandomForestRegressor(3, random_state=0).fit(derive(POINT, derived, matrix), matrix[:, 0])
    exported = export_estimator(estimator, schema=POINT, derived=derived, task=Regression())
    prove(estimator, exported, schema=POINT, derived=derived, task=Regression(), matrix=matrix)
    rows = np.asarray([(1.0, 1.0, np.nan), (1.0, 1.0, 0.0), (1.0, 1.0, 2.0)], dtype=np.float32)
    assert np.isfinite(GraphRunner(exported.model).run(rows)).tolist() == [True, False, True]


def test_training_fits_on_what_the_exported_graph_computes() -> None:
    """The features inside the exported graph are bit for bit those that `derive` gave to the fit."""
    matrix = house_rows()
    features = derive(HOUSE, DERIVED, matrix)
    estimator = RandomForestRegressor(3, random_state=0).fit(features, house_prices(matrix))
    exported = export_estimator(estimator, schema=HOUSE, derived=DERIVED, task=Regression())
    model = ModelProto.FromString(exported.model)
    inner = next(node for node in model.graph.node if node.output[0] == "features")
    value = model.graph.output[0]
    value.name = inner.output[0]
    del value.type.tensor_type.shape.dim[:]
    value.type.tensor_type.ClearField("shape")
    np.testing.assert_array_equal(GraphRunner(model.SerializeToString()).run(matrix), features)

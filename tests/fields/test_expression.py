"""Expressions: built with operators, evaluated by numpy, written to JSON and read back."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.errors import DefinitionError
from rookery.fields.expression import (
    LOGICAL,
    OPERATORS,
    Expression,
    Rule,
    col,
    distance_km,
    exp,
    expression_from_json,
    inside,
    log,
    log1p,
    maximum,
    minimum,
    sqrt,
)

A, B = col("a"), col("b")
COLUMNS = {"a": np.array([1.0, 4.0, 9.0]), "b": np.array([2.0, 4.0, 0.5])}
SQUARE = [(0, 0), (0, 10), (10, 10), (10, 0)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (A + B, [3, 8, 9.5]),
        (1 + A, [2, 5, 10]),
        (A - 1, [0, 3, 8]),
        (1 - A, [0, -3, -8]),
        (A * B, [2, 16, 4.5]),
        (2 * A, [2, 8, 18]),
        (A / B, [0.5, 1, 18]),
        (36 / A, [36, 9, 4]),
        (-A, [-1, -4, -9]),
        (abs(-A), [1, 4, 9]),
        (sqrt(A), [1, 2, 3]),
        (log(exp(A)), [1, 4, 9]),
        (log1p(A - 1), [0, math.log(4), math.log(9)]),
        (minimum(A, B, 3), [1, 3, 0.5]),
        (maximum(A, B, 3), [3, 4, 9]),
        (A < B, [True, False, False]),
        (A <= B, [True, True, False]),
        (A > B, [False, False, True]),
        (A >= B, [False, True, True]),
        (A.equals(B), [False, True, False]),
        (A.differs(B), [True, False, True]),
        ((A > 1) & (B > 1), [False, True, False]),
        ((A > 1) | (B > 1), [True, True, True]),
        (~(A > B), [True, True, False]),
    ],
)
def test_operators_compute_row_by_row(expression: Expression, expected: list[Any]) -> None:
    np.testing.assert_allclose(expression.evaluate(COLUMNS), expected)


def test_logical_expressions_are_told_from_numbers() -> None:
    assert (A < B).is_logical
    assert inside(A, B, SQUARE).is_logical
    assert not (A + B).is_logical
    assert {name for name in OPERATORS if name in LOGICAL} | {"inside"} == LOGICAL


def test_an_expression_knows_the_columns_it_reads() -> None:
    assert (distance_km(A, B, 1, 2) + log(col("c"))).column_names() == {"a", "b", "c"}
    assert col("a").column_names() == {"a"}


def test_constants_take_the_columns_precision() -> None:
    """0.1 sent by a client is 0.1 to the rule, although float32 rounds it upwards."""
    tenth = {"a": np.array([0.1], dtype=np.float32)}
    assert (A <= 0.1).evaluate(tenth).tolist() == [True]
    assert A.equals(0.1).evaluate(tenth).tolist() == [True]
    assert (A + 0.1).evaluate(tenth).dtype == np.float32


@pytest.mark.parametrize(
    ("places", "kilometres"),
    [
        ((52.5200, 13.4050, 48.8566, 2.3522), 877.46),
        ((37.77, -122.42, 34.05, -118.24), 559.23),
        ((0, 0, 0, 180), math.pi * 6371.0088),
        ((10, 20, 10, 20), 0),
    ],
)
def test_distances_are_great_circles(places: tuple[float, ...], kilometres: float) -> None:
    """Berlin to Paris, San Francisco to Los Angeles, half the equator, nowhere."""
    assert distance_km(*places).evaluate({}) == pytest.approx(kilometres, abs=0.3)


def test_inside_a_polygon_and_outside() -> None:
    points = {"a": np.array([5, 15, -1, 5, 9.99]), "b": np.array([5, 5, 5, 10.5, 0.01])}
    assert inside(A, B, SQUARE).evaluate(points).tolist() == [True, False, False, False, True]
    assert bool(inside(5, 5, SQUARE).evaluate({}))


def test_a_polygon_may_be_hollow_and_turn_either_way() -> None:
    u_shape = [(0, 0), (0, 9), (9, 9), (9, 6), (3, 6), (3, 3), (9, 3), (9, 0)]
    points = {"a": np.array([1.0, 6.0, 6.0, 6.0]), "b": np.array([4.5, 4.5, 1.0, 8.0])}
    for polygon in (u_shape, u_shape[::-1]):
        assert inside(A, B, polygon).evaluate(points).tolist() == [True, False, True, True]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-90, 90)), min_size=1, max_size=20))
def test_points_in_a_triangle_are_those_on_one_side_of_all_edges(points: list[tuple[float, float]]) -> None:
    """The even-odd rule agrees with half-planes for a convex polygon, points on an edge left aside."""
    corners = [(-50.0, -40.0), (70.0, -10.0), (-20.0, 60.0)]
    array = np.array(points)
    sides: Any = []
    for (lat, lon), (next_lat, next_lon) in zip(corners, corners[1:] + corners[:1], strict=True):
        sides.append((array[:, 0] - lat) * (next_lon - lon) - (array[:, 1] - lon) * (next_lat - lat))
    clear = (np.abs(np.array(sides)) > 1e-6).all(axis=0)
    expected: Any = (np.array(sides) < 0).all(axis=0) | (np.array(sides) > 0).all(axis=0)
    found: Any = inside(A, B, corners).evaluate({"a": array[:, 0], "b": array[:, 1]})
    assert found[clear].tolist() == expected[clear].tolist()


def expressions() -> st.SearchStrategy[Expression]:
    leaves = st.one_of(st.sampled_from([A, B]), st.floats(-5, 5).map(lambda value: A * 0 + value))

    def deeper(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        two = st.tuples(inner, inner)
        return st.one_of(
            two.map(lambda pair: pair[0] + pair[1]),
            two.map(lambda pair: pair[0] / pair[1]),
            two.map(lambda pair: minimum(*pair)),
            two.map(lambda pair: distance_km(pair[0], pair[1], 3, 4)),
            inner.map(sqrt),
            inner.map(lambda one: -one),
        )

    numbers = st.recursive(leaves, deeper, max_leaves=8)
    pairs = st.tuples(numbers, numbers)
    truths = st.one_of(pairs.map(lambda p: p[0] <= p[1]), pairs.map(lambda p: inside(p[0], p[1], SQUARE)))
    return st.one_of(
        numbers, truths, truths.map(lambda truth: ~truth), st.tuples(truths, truths).map(lambda p: p[0] & p[1])
    )


@settings(deadline=None)
@given(expressions())
def test_json_brings_back_the_same_expression(expression: Expression) -> None:
    again = expression_from_json(json.loads(json.dumps(expression.to_json(), allow_nan=False)))
    assert again.to_json() == expression.to_json()
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(again.evaluate(COLUMNS), expression.evaluate(COLUMNS))


@pytest.mark.parametrize(
    "node",
    [
        None,
        True,
        "",
        [],
        {},
        float("nan"),
        {"op": "system", "args": []},
        {"op": "system", "args": ["a"]},
        {"op": ["add"], "args": ["a", "b"]},
        {"op": "add", "args": ["a"]},
        {"op": "add", "args": "ab"},
        {"op": "log", "args": ["a", "b"]},
        {"op": "distance_km", "args": ["a", "b"]},
        {"op": "and", "args": ["a", "b"]},
        {"op": "inside", "args": ["a", "b"]},
        {"op": "inside", "args": ["a"], "polygon": SQUARE},
        {"op": "inside", "args": ["a", "b"], "polygon": [[0, 0], [1, 1]]},
        {"op": "inside", "args": ["a", "b"], "polygon": [[0, 0], [1, 1], [2]]},
        {"op": "inside", "args": ["a", "b"], "polygon": [[0, 0], [1, 1], [2, float("inf")]]},
        {"op": "inside", "args": ["a", "b"], "polygon": [[0, 0], [1, 1], ["x", None]]},
        {"op": "add", "args": ["a", {"op": "column"}]},
    ],
)
def test_json_that_is_no_expression_is_refused(node: Any) -> None:
    with pytest.raises(DefinitionError):
        expression_from_json(node)


def test_json_that_is_nested_without_end_is_refused() -> None:
    node: Any = "a"
    for _ in range(99):
        node = {"op": "negative", "args": [node]}
    assert expression_from_json(node).evaluate(COLUMNS).tolist() == [-1, -4, -9]
    for _ in range(400):
        node = {"op": "negative", "args": [node]}
    with pytest.raises(DefinitionError, match="100 levels"):
        expression_from_json(node)


@pytest.mark.parametrize(
    ("build", "cure"),
    [
        (lambda: A + "b", "col('name')"),  # type: ignore[operator]
        (lambda: A - float("nan"), "col('name')"),
        (lambda: A & (B > 1), "in parentheses"),
        (lambda: ~A, "in parentheses"),
        (lambda: 1 < A < 3, "with & and |"),
        (lambda: (A > 1) and (B > 1), "with & and |"),
        (lambda: col(""), "as a text"),
        (lambda: col(3), "as a text"),  # type: ignore[arg-type]
        (lambda: inside(A, B, [(0, 0), (1, 1)]), "at least three"),
        (lambda: inside(A, B, [(0, 0), (1, 1), 2]), "pairs"),  # type: ignore[list-item]
        (lambda: Rule(A, "too much"), "Compare it"),
        (lambda: Rule(A > 1, " "), "Say what"),
        (lambda: Rule(True, "always"), "equals"),  # type: ignore[arg-type]
        (lambda: Rule(A == "male", "never"), "equals"),  # type: ignore[arg-type,comparison-overlap]
        (lambda: Rule(expression_from_json({"op": "less", "args": [1, 2]}), "constant"), "Name one"),
    ],
)
def test_expressions_that_mean_nothing_are_refused_with_the_cure(build: Any, cure: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        build()
    assert cure in caught.value.cure


def test_a_rule_may_blame_one_field_by_its_name_alone() -> None:
    assert Rule(A > B, "a is too small", fields="a").fields == ("a",)  # type: ignore[arg-type]
    assert Rule(A > B, "a is too small", fields=["a", "b"]).fields == ("a", "b")  # type: ignore[arg-type]

"""Small services to train in tests: two clouds of points with a colour, and a line with noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from rookery.fields.expression import Rule, col
from rookery.service.dataset import Dataset
from rookery.service.definition import Service
from rookery.service.policies import Gate
from rookery.service.task import Classification, Regression


class Point(BaseModel):
    x: float = Field(ge=-100, le=100, json_schema_extra={"unit": "cm"})
    y: float = Field(ge=-100, le=100)
    count: int = Field(ge=0, le=50)
    colour: Literal["red", "blue"]


class Place(BaseModel):
    x: float = Field(ge=-100, le=100)
    y: float = Field(ge=-100, le=100)


def point_columns(rows: int = 240, seed: int = 1) -> tuple[dict[str, list[Any]], list[str]]:
    """Two overlapping clouds, `near` and `far`."""
    draw = np.random.default_rng(seed)
    far = draw.random(rows) < 0.5
    columns = {
        "x": (draw.normal(0, 1, rows) + 2.5 * far).tolist(),
        "y": (draw.normal(0, 1, rows) + 2.5 * far).tolist(),
        "count": draw.integers(0, 20, rows).tolist(),
        "colour": draw.choice(["red", "blue"], rows).tolist(),
    }
    return columns, ["far" if one else "near" for one in far]


def logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500)


def tree() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=1)


def line() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def points(data: Callable[[], Dataset] | None = None, **changes: Any) -> Service:
    """A service that tells near points from far ones."""
    columns, target = point_columns()
    settings: dict[str, Any] = {
        "name": "points",
        "input": Point,
        "task": Classification("near", "far"),
        "data": data or (lambda: Dataset(columns=columns, target=target, source="made-up points")),
        "candidates": {"logistic": logistic, "tree": tree},
        "derived": {"sum": col("x") + col("y")},
        "rules": [Rule(col("x") < 50, "x is beyond the fence")],
        "gate": Gate(accuracy=0.8),
    }
    return Service(**(settings | changes))


def changed(change: Callable[[dict[str, list[Any]], list[Any]], Any]) -> Service:
    """The points service, its columns and target altered in place by `change`."""
    columns, target = point_columns()
    labels: list[Any] = list(target)
    change(columns, labels)
    return points(lambda: Dataset(columns=columns, target=labels))


def places(rows: int = 200, noise: float = 0.1, **changes: Any) -> Service:
    """A regression: 3 x - y and a little noise."""
    draw = np.random.default_rng(5)
    x, y = draw.uniform(-2, 2, (2, rows))
    dataset = Dataset(columns={"x": x, "y": y}, target=3 * x - y + noise * draw.standard_normal(rows))
    settings: dict[str, Any] = {
        "name": "places",
        "input": Place,
        "task": Regression(unit="m"),
        "data": lambda: dataset,
        "candidates": {"line": line},
        "gate": Gate(rmse=0.2, r2=0.9),
    }
    return Service(**(settings | changes))


def with_gate(service: Service, **gate: float | None) -> Service:
    """The service under another gate."""
    return replace(service, gate=Gate(**gate))


def as_table(columns: Mapping[str, list[Any]]) -> Any:
    """The columns as a data frame."""
    from pandas import DataFrame

    return DataFrame(dict(columns))

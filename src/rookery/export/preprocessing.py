"""scikit-learn's preprocessing steps before linear models and support vector machines, written in float64.

In float64 a scaled, imputed or multiplied-out column loses nothing that the original keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rookery.errors import UnsupportedEstimator
from rookery.export.graph import DOUBLE, GraphBuilder
from rookery.export.original import fitted_names, qualified_name


def check_step(step: Any) -> None:
    """Refuse a step, fitted or not, whose export is not proven.

    Raises:
        UnsupportedEstimator: the message names the step and those that are supported.
    """
    name = qualified_name(step)
    if name == "sklearn.Pipeline":
        for _, inner in step.steps:
            check_step(inner)
    elif name == "sklearn.ColumnTransformer":
        _check_column_transformer(step)
    elif _is_identity(step):
        return
    elif name not in _STEPS:
        raise UnsupportedEstimator(
            f"the preprocessing step {type(step).__name__} is not proven",
            cure=f"Choose from {', '.join(sorted(supported_steps()))}, or declare a derived feature",
        )
    else:
        _check_parameters(step, name)


def _is_identity(step: Any) -> bool:
    if qualified_name(step) == "sklearn.FunctionTransformer":
        return step.func is None
    return step is None or (isinstance(step, str) and step in ("passthrough", "drop"))


def supported_steps() -> list[str]:
    """Return the names of the steps a pipeline may hold before its model."""
    return [name.partition(".")[2] for name in _STEPS] + ["ColumnTransformer"]


def _check_column_transformer(step: Any) -> None:
    if step.transformer_weights:
        raise UnsupportedEstimator("ColumnTransformer with transformer_weights is not proven", cure="Drop the weights")
    for _, inner, _ in step.transformers:
        check_step(inner)


def _check_parameters(step: Any, name: str) -> None:
    if name == "sklearn.SimpleImputer" and (
        step.add_indicator or not (isinstance(step.missing_values, float) and np.isnan(step.missing_values))
    ):
        raise UnsupportedEstimator(
            "SimpleImputer with add_indicator or another missing_values than nan is not proven",
            cure="Leave both at their defaults",
        )
    if name == "sklearn.OneHotEncoder" and (
        step.handle_unknown not in ("ignore", "error") or step.min_frequency is not None or step.max_categories
    ):
        raise UnsupportedEstimator(
            "OneHotEncoder that merges infrequent categories is not proven",
            cure="Use handle_unknown='ignore' or 'error', without min_frequency and max_categories",
        )


def write_step(step: Any, builder: GraphBuilder, tensor: str, width: int) -> tuple[str, int]:
    """Write one fitted step over `tensor`, float64 [N, width]; returns its result and that one's width."""
    check_step(step)
    name = qualified_name(step)
    if name == "sklearn.Pipeline":
        for _, inner in step.steps:
            tensor, width = write_step(inner, builder, tensor, width)
        return tensor, width
    if name == "sklearn.ColumnTransformer":
        return _write_column_transformer(step, builder, tensor, width)
    if name in _STEPS:
        return _STEPS[name](step, builder, tensor, width)
    return tensor, width


def _double(builder: GraphBuilder, value: Any) -> str:
    return builder.constant(value, np.float64)


def _write_standard_scaler(step: Any, builder: GraphBuilder, tensor: str, width: int) -> tuple[str, int]:
    if step.mean_ is not None and step.with_mean:
        tensor = builder.add("Sub", tensor, _double(builder, step.mean_))
    if step.scale_ is not None:
        tensor = builder.add("Div", tensor, _double(builder, step.scale_))
    return tensor, width


def _write_min_max_scaler(step: Any, builder: GraphBuilder, tensor: str, width: int) -> tuple[str, int]:
    tensor = builder.add("Add", builder.add("Mul", tensor, _double(builder, step.scale_)), _double(builder, step.min_))
    if step.clip:
        low, high = step.feature_range
        tensor = builder.add("Clip", tensor, _double(builder, float(low)), _double(builder, float(high)))
    return tensor, width


def _write_imputer(step: Any, builder: GraphBuilder, tensor: str, width: int) -> tuple[str, int]:
    statistics = np.asarray(step.statistics_, dtype=np.float64)
    if np.isnan(statistics).any():
        raise UnsupportedEstimator(
            f"SimpleImputer saw no value at all in column {int(np.flatnonzero(np.isnan(statistics))[0])}",
            cure="Drop the empty column",
        )
    return builder.add("Where", builder.add("IsNaN", tensor), _double(builder, statistics), tensor), width


def _write_one_hot(step: Any, builder: GraphBuilder, tensor: str, _width: int) -> tuple[str, int]:
    indices: list[int] = []
    values: list[float] = []
    for column, categories in enumerate(step.categories_):
        dropped = None if step.drop_idx_ is None else step.drop_idx_[column]
        kept = [float(value) for index, value in enumerate(categories) if index != dropped]
        indices += [column] * len(kept)
        values += kept
    if np.isnan(values).any():
        raise UnsupportedEstimator(
            "OneHotEncoder with missing values as a category is not proven", cure="Put a SimpleImputer before it"
        )
    repeated = builder.add("Gather", tensor, builder.constant(indices, np.int64), axis=1)
    hits = builder.add("Equal", repeated, _double(builder, values))
    return builder.add("Cast", hits, to=DOUBLE), len(values)


def _write_polynomial(step: Any, builder: GraphBuilder, tensor: str, width: int) -> tuple[str, int]:
    """Write products of gathered columns, one block per degree (scikit-learn's order is by degree)."""
    factors = [np.repeat(np.arange(width), powers).tolist() for powers in np.asarray(step.powers_)]
    blocks = []
    for degree in sorted({len(columns) for columns in factors}):
        chosen = [columns for columns in factors if len(columns) == degree]
        if degree == 0:
            first = builder.add("Gather", tensor, builder.constant([0], np.int64), axis=1)
            blocks.append(builder.add("Pow", first, _double(builder, 0.0)))
            continue
        parts = [
            builder.add("Gather", tensor, builder.constant([columns[i] for columns in chosen], np.int64), axis=1)
            for i in range(degree)
        ]
        product = parts[0]
        for part in parts[1:]:
            product = builder.add("Mul", product, part)
        blocks.append(product)
    return builder.add("Concat", *blocks, axis=1), len(factors)


def _write_column_transformer(step: Any, builder: GraphBuilder, tensor: str, width: int) -> tuple[str, int]:
    names = fitted_names(step)
    parts, total = [], 0
    for _, inner, columns in step.transformers_:
        positions = _positions(columns, names, width)
        if (isinstance(inner, str) and inner == "drop") or not positions:
            continue
        part = builder.add("Gather", tensor, builder.constant(positions, np.int64), axis=1)
        part, part_width = write_step(inner, builder, part, len(positions))
        parts.append(part)
        total += part_width
    if not parts:
        raise UnsupportedEstimator("ColumnTransformer drops every column", cure="Keep at least one")
    return (parts[0] if len(parts) == 1 else builder.add("Concat", *parts, axis=1)), total


def _positions(columns: Any, names: list[str] | None, width: int) -> list[int]:
    """Return the positions a ColumnTransformer's column choice names: positions, names, slices or a mask."""
    if isinstance(columns, slice):
        if isinstance(columns.start, str) or isinstance(columns.stop, str):
            raise UnsupportedEstimator("ColumnTransformer with a slice of names is not proven", cure="List the names")
        return list(range(width))[columns]
    chosen = np.atleast_1d(np.asarray(columns)).tolist() if not isinstance(columns, str) else [columns]
    if chosen and all(isinstance(item, bool) for item in chosen):
        return [index for index, wanted in enumerate(chosen) if wanted]
    if names is not None:
        chosen = [names.index(item) if isinstance(item, str) else item for item in chosen]
    return [int(item) % width for item in chosen]


_Writer = Callable[[Any, GraphBuilder, str, int], tuple[str, int]]
_STEPS: Mapping[str, _Writer] = {
    "sklearn.StandardScaler": _write_standard_scaler,
    "sklearn.MinMaxScaler": _write_min_max_scaler,
    "sklearn.SimpleImputer": _write_imputer,
    "sklearn.OneHotEncoder": _write_one_hot,
    "sklearn.PolynomialFeatures": _write_polynomial,
}

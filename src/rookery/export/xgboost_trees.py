"""XGBoost's boosted trees, read from the booster's own JSON as a `Forest`.

Its trees compare `value < threshold` in float32 throughout (XGBoost's JSON model schema).
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from rookery.errors import UnsupportedEstimator
from rookery.export.forest import Forest, Tree, write_forest, write_link
from rookery.export.graph import GraphBuilder

REGRESSIONS = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror")
CLASSIFICATIONS = ("binary:logistic", "multi:softprob")


def check(estimator: Any) -> None:
    """Refuse boosters, objectives and inputs whose export is not proven."""
    name = type(estimator).__name__
    parameters = estimator.get_params()
    booster = parameters.get("booster")
    if booster not in (None, "gbtree"):
        raise UnsupportedEstimator(f"{name}(booster={booster!r}) is not proven", cure="Use booster='gbtree'")
    _check_objective(name, parameters.get("objective"))
    if parameters.get("multi_strategy") not in (None, "one_output_per_tree"):
        raise UnsupportedEstimator(
            f"{name}(multi_strategy={parameters['multi_strategy']!r}) has trees with several outputs, not proven",
            cure="Leave multi_strategy at 'one_output_per_tree'",
        )
    missing = parameters.get("missing")
    if missing is not None and not math.isnan(missing):
        raise UnsupportedEstimator(
            f"{name}(missing={missing!r}) reads an ordinary value as missing", cure="Leave missing=nan"
        )
    if parameters.get("feature_types") is not None:
        raise UnsupportedEstimator(
            f"{name} with feature_types splits by sets of categories, which is not proven",
            cure="Drop feature_types: trees split category codes well",
        )


def _check_objective(name: str, objective: Any) -> None:
    allowed = CLASSIFICATIONS if "Classifier" in name else REGRESSIONS
    if objective is not None and objective not in allowed:
        raise UnsupportedEstimator(
            f"{name}(objective={objective!r}) is not proven", cure=f"Choose from {', '.join(allowed)}"
        )


def _read_tree(tree: dict[str, Any]) -> Tree:
    if int(tree["tree_param"]["size_leaf_vector"]) > 1 or any(tree["split_type"]):
        raise UnsupportedEstimator(
            "the XGBoost model has categorical splits or trees with several outputs, which is not proven",
            cure="Fit it on the float32 matrix, with one_output_per_tree",
        )
    left = np.asarray(tree["left_children"], dtype=np.int64)
    conditions = np.asarray(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    return Tree(
        feature=np.asarray(tree["split_indices"], dtype=np.int64),
        threshold=conditions,
        left=left,
        right=np.asarray(tree["right_children"], dtype=np.int64),
        missing_left=np.asarray(tree["default_left"], dtype=bool),
        value=conditions,
    )


def _read_booster(estimator: Any) -> tuple[Forest, str]:
    booster = estimator.get_booster()
    best = booster.attr("best_iteration")
    if best is not None:
        booster = booster[: int(best) + 1]
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    if learner["gradient_booster"]["name"] != "gbtree":
        raise UnsupportedEstimator(
            f"XGBoost booster {learner['gradient_booster']['name']!r} is not proven", cure="Use booster='gbtree'"
        )
    parameters, objective = learner["learner_model_param"], learner["objective"]["name"]
    _check_objective(type(estimator).__name__, objective)
    outputs = max(int(parameters["num_class"]), int(parameters["num_target"]), 1)
    start = json.loads(parameters["base_score"])
    base = [float(value) for value in (start if isinstance(start, list) else [start])]
    base = base * outputs if len(base) == 1 else base
    if objective == "binary:logistic":
        base = [math.log(value / (1 - value)) for value in base]
    model = learner["gradient_booster"]["model"]
    trees = [_read_tree(tree) for tree in model["trees"]]
    groups = [
        [tree for tree, owner in zip(trees, model["tree_info"], strict=True) if owner == output]
        for output in range(outputs)
    ]
    return Forest(branch="BRANCH_LT", groups=groups, base=base), objective


def convert_classifier(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write an `XGBClassifier` or `XGBRFClassifier`; returns probabilities [N, classes]."""
    check(estimator)
    forest, objective = _read_booster(estimator)
    return write_link(builder, write_forest(builder, features, forest), binary=objective == "binary:logistic")


def convert_regressor(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write an `XGBRegressor` or `XGBRFRegressor`; returns values [N, 1]."""
    check(estimator)
    forest, _ = _read_booster(estimator)
    if len(forest.groups) != 1:
        raise UnsupportedEstimator(
            f"XGBRegressor was fitted on {len(forest.groups)} targets", cure="Fit one model per target"
        )
    return write_forest(builder, features, forest)

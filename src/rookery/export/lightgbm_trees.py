"""LightGBM's boosted trees, read from the booster's own dump as a `Forest`.

Its trees compare `value <= threshold` in float64. A missing value goes to the node's default side, or is taken
for zero where the node saw none in training.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.errors import UnsupportedEstimator
from rookery.export.forest import Forest, Tree, write_forest, write_link
from rookery.export.graph import GraphBuilder

REGRESSIONS = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
REGRESSION_ALIASES = ("l2", "mse", "mean_squared_error", "l1", "mae", "mean_absolute_error")
CLASSIFICATIONS = ("binary", "multiclass")
ZERO = float(np.float32(1e-35))
"""LightGBM reads values up to this far from zero as zero, so no threshold may part them."""


def check(estimator: Any) -> None:
    """Refuse boosters, objectives and inputs whose export is not proven."""
    name = type(estimator).__name__
    parameters = estimator.get_params()
    named = [parameters[key] for key in ("boosting_type", "boosting", "boost") if parameters.get(key)]
    boosting = next((value for value in named if value not in ("gbdt", "gbrt")), "gbdt")
    if boosting != "gbdt":
        raise UnsupportedEstimator(f"{name} with boosting {boosting!r} is not proven", cure="Use boosting_type='gbdt'")
    for parameter, reason in (
        ("linear_tree", "has linear models in its leaves"),
        ("zero_as_missing", "reads zeros as missing"),
        ("reg_sqrt", "squares its answers"),
        ("categorical_feature", "splits by sets of categories"),
    ):
        if parameters.get(parameter):
            raise UnsupportedEstimator(
                f"{name} with {parameter} {reason}, which is not proven", cure=f"Drop {parameter}"
            )
    _check_objective(name, parameters.get("objective"))


def _check_objective(name: str, objective: Any) -> None:
    allowed = CLASSIFICATIONS if "Classifier" in name else REGRESSIONS
    if objective is not None and objective not in (*allowed, *(REGRESSION_ALIASES if allowed is REGRESSIONS else ())):
        raise UnsupportedEstimator(
            f"{name}(objective={objective!r}) is not proven", cure=f"Choose from {', '.join(allowed)}"
        )


def _read_tree(structure: dict[str, Any]) -> Tree:
    """Number the nested nodes of one dumped tree, parents first."""
    nodes, left, right = [structure], [-1], [-1]
    for index, node in enumerate(nodes):
        if "split_index" in node:
            left[index], right[index] = len(nodes), len(nodes) + 1
            nodes += [node["left_child"], node["right_child"]]
            left += [-1, -1]
            right += [-1, -1]
    return Tree(
        feature=np.asarray([node.get("split_feature", 0) for node in nodes], dtype=np.int64),
        threshold=np.asarray([_threshold(node) for node in nodes], dtype=np.float64),
        left=np.asarray(left, dtype=np.int64),
        right=np.asarray(right, dtype=np.int64),
        missing_left=np.asarray([_missing_left(node) for node in nodes], dtype=bool),
        value=np.asarray([node.get("leaf_value", 0.0) for node in nodes], dtype=np.float64),
    )


def _threshold(node: dict[str, Any]) -> float:
    if "leaf_coeff" in node or node.get("decision_type", "<=") != "<=" or node.get("missing_type") == "Zero":
        raise UnsupportedEstimator(
            "the LightGBM model has categorical splits, linear leaves or zeros read as missing, which is not proven",
            cure="Fit it on the float32 matrix without categorical_feature, linear_tree or zero_as_missing",
        )
    threshold = float(node.get("threshold", 0.0))
    if -ZERO <= threshold < 0:
        return float(np.nextafter(np.float32(-ZERO), np.float32(-np.inf)))
    return ZERO if 0 <= threshold < ZERO else threshold


def _missing_left(node: dict[str, Any]) -> bool:
    if node.get("missing_type") == "NaN":
        return bool(node["default_left"])
    return float(node.get("threshold", 0.0)) >= 0.0


def _read_booster(estimator: Any) -> tuple[Forest, list[str]]:
    dump = estimator.booster_.dump_model(num_iteration=estimator.best_iteration_ or -1)
    words = str(dump["objective"]).split()
    _check_objective(type(estimator).__name__, words[0])
    if dump["average_output"] or "sqrt" in words:
        raise UnsupportedEstimator(
            f"LightGBM objective {dump['objective']!r} with averaged or squared output is not proven",
            cure="Use boosting_type='gbdt' without reg_sqrt",
        )
    outputs = int(dump["num_tree_per_iteration"])
    trees = [_read_tree(info["tree_structure"]) for info in dump["tree_info"]]
    groups = [trees[output::outputs] for output in range(outputs)]
    scale = next((float(word.partition(":")[2]) for word in words if word.startswith("sigmoid:")), 1.0)
    return Forest(branch="BRANCH_LEQ", groups=groups, base=[0.0] * outputs, scale=scale), words


def convert_classifier(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write an `LGBMClassifier`; returns probabilities [N, classes]."""
    check(estimator)
    forest, words = _read_booster(estimator)
    return write_link(builder, write_forest(builder, features, forest), binary=words[0] == "binary")


def convert_regressor(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write an `LGBMRegressor`; returns values [N, 1]."""
    check(estimator)
    forest, _ = _read_booster(estimator)
    return write_forest(builder, features, forest)

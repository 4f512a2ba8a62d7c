"""scikit-learn's decision trees, random forests, extra trees and gradient boosting, read as a `Forest`.

Their trees compare a float32 value with a float64 threshold; leaves hold means or class shares.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.errors import UnsupportedEstimator
from rookery.export.forest import Forest, Tree, write_forest, write_link
from rookery.export.graph import GraphBuilder


def read_tree(tree: Any, value: Any) -> Tree:
    """Read a `sklearn.tree._tree.Tree`, with `value` as its leaves' values."""
    return Tree(
        feature=np.asarray(tree.feature, dtype=np.int64),
        threshold=np.asarray(tree.threshold, dtype=np.float64),
        left=np.asarray(tree.children_left, dtype=np.int64),
        right=np.asarray(tree.children_right, dtype=np.int64),
        missing_left=np.asarray(tree.missing_go_to_left, dtype=bool),
        value=value,
    )


def _members(estimator: Any) -> list[Any]:
    members = getattr(estimator, "estimators_", None)
    return [member.tree_ for member in members] if members is not None else [estimator.tree_]


def _check_single_output(estimator: Any) -> None:
    if getattr(estimator, "n_outputs_", 1) != 1:
        raise UnsupportedEstimator(
            f"{type(estimator).__name__} was fitted on {estimator.n_outputs_} targets",
            cure="A service answers one label or one number: fit one model per target",
        )


def convert_forest_classifier(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write the mean of the trees' class shares; returns probabilities [N, classes]."""
    _check_single_output(estimator)
    trees = []
    for tree in _members(estimator):
        shares = np.asarray(tree.value, dtype=np.float64)[:, 0, :]
        trees.append(read_tree(tree, shares / shares.sum(axis=1, keepdims=True)))
    forest = Forest(branch="BRANCH_LEQ", groups=[trees], base=[0.0] * len(estimator.classes_), scale=1 / len(trees))
    return write_forest(builder, features, forest)


def convert_forest_regressor(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write the mean of the trees' leaf means; returns values [N, 1].

    The leaves are written relative to their overall mean, so that float32 sums keep the digits that differ.
    """
    _check_single_output(estimator)
    members = _members(estimator)
    centre = float(np.mean([tree.value[0, 0, 0] for tree in members]))
    trees = [read_tree(tree, np.asarray(tree.value, dtype=np.float64)[:, 0, 0] - centre) for tree in members]
    forest = Forest(branch="BRANCH_LEQ", groups=[trees], base=[centre], scale=1 / len(trees))
    return write_forest(builder, features, forest)


def check_boosting(estimator: Any) -> None:
    """Refuse gradient boosting whose start or link is not a constant and a logistic function."""
    if estimator.init is not None:
        raise UnsupportedEstimator(
            f"{type(estimator).__name__}(init={estimator.init!r}) starts from another model",
            cure="Leave init=None",
        )
    if getattr(estimator, "loss", "") == "exponential":
        raise UnsupportedEstimator(
            "GradientBoostingClassifier(loss='exponential') has probabilities that are not proven",
            cure="Use loss='log_loss'",
        )


def convert_boosting_classifier(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write scikit-learn's `GradientBoostingClassifier`; returns probabilities [N, classes]."""
    shares = np.asarray(estimator.init_.class_prior_, dtype=np.float64)
    tiny = np.finfo(np.float32).eps
    shares = np.clip(shares, tiny, 1 - tiny)
    binary = len(shares) == 2
    base = [float(np.log(shares[1] / shares[0]))] if binary else [float(np.log(share)) for share in shares]
    scores = write_forest(builder, features, _boosted(estimator, base))
    return write_link(builder, scores, binary=binary)


def convert_boosting_regressor(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write scikit-learn's `GradientBoostingRegressor`; returns values [N, 1]."""
    return write_forest(builder, features, _boosted(estimator, [float(np.ravel(estimator.init_.constant_)[0])]))


def _boosted(estimator: Any, base: list[float]) -> Forest:
    groups = [
        [read_tree(member.tree_, np.asarray(member.tree_.value, dtype=np.float64)[:, 0, 0]) for member in stages]
        for stages in np.asarray(estimator.estimators_).T
    ]
    return Forest(branch="BRANCH_LEQ", groups=groups, base=base, scale=float(estimator.learning_rate))

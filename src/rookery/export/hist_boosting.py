"""scikit-learn's histogram gradient boosting, read as a `Forest`.

Its trees compare in float64; missing values go to the side each node recorded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.errors import UnsupportedEstimator
from rookery.export.forest import Forest, Tree, write_forest, write_link
from rookery.export.graph import GraphBuilder

LOSSES = ("squared_error", "absolute_error", "quantile", "log_loss")


def check(estimator: Any) -> None:
    """Refuse losses with another link than identity or logistic, and categorical splits."""
    name = type(estimator).__name__
    if estimator.loss not in LOSSES:
        raise UnsupportedEstimator(
            f"{name}(loss={estimator.loss!r}) answers through an exponential, which is not proven",
            cure="Use loss='squared_error', 'absolute_error' or 'quantile', or fit the logarithm of the target",
        )
    categorical = estimator.categorical_features
    if categorical is not None and not (isinstance(categorical, str) and categorical == "from_dtype"):
        raise UnsupportedEstimator(
            f"{name} with categorical_features splits by sets of categories, which is not proven",
            cure="Drop categorical_features: trees split category codes well",
        )


def _read_tree(predictor: Any) -> Tree:
    nodes = predictor.nodes
    if nodes["is_categorical"].any():
        raise UnsupportedEstimator(
            "the histogram gradient boosting model was fitted with categorical features, which is not proven",
            cure="Fit it on the float32 matrix without categorical_features",
        )
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"].astype(np.float64),
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        value=nodes["value"].astype(np.float64),
    )


def _read_forest(estimator: Any) -> Forest:
    # scikit-learn has no public view of these trees; its own tools and every converter read the same attributes
    rounds = estimator._predictors
    groups = [[_read_tree(stage[output]) for stage in rounds] for output in range(len(rounds[0]))]
    base = [float(value) for value in np.ravel(estimator._baseline_prediction)]
    return Forest(branch="BRANCH_LEQ", groups=groups, base=base)


def convert_classifier(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write a `HistGradientBoostingClassifier`; returns probabilities [N, classes]."""
    check(estimator)
    forest = _read_forest(estimator)
    return write_link(builder, write_forest(builder, features, forest), binary=len(forest.groups) == 1)


def convert_regressor(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write a `HistGradientBoostingRegressor`; returns values [N, 1]."""
    check(estimator)
    return write_forest(builder, features, _read_forest(estimator))

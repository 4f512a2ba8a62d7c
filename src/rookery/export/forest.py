"""A forest as plain arrays, whoever grew it, and the one place that writes it as ONNX tree ensembles.

Each library's reader (`sklearn_trees`, `hist_boosting`, `xgboost_trees`, `lightgbm_trees`) turns its fitted model
into a `Forest`. Thresholds are brought to float32 here in the way that keeps every decision on float32 input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rookery.export.graph import GraphBuilder

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Branch = Literal["BRANCH_LEQ", "BRANCH_LT"]
"""When a row goes left: value <= threshold, or value < threshold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """One tree; all arrays have one entry per node, node 0 is the root."""

    feature: Integers
    threshold: Floats
    left: Integers
    """The child of rows that meet the condition; below 0 at leaves."""
    right: Integers
    missing_left: npt.NDArray[np.bool_]
    """Whether a NaN goes left."""
    value: Floats
    """Leaf values, [nodes] or [nodes, outputs]; ignored elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forest:
    """Trees whose leaf values are added up, output by output."""

    branch: Branch
    groups: Sequence[Sequence[Tree]]
    """The trees of each output; trees with leaf values for all outputs are one single group."""
    base: Sequence[float]
    """What is added to each output's sum."""
    scale: float = 1.0
    """What every leaf value is multiplied by."""


def floor_float32(values: Floats) -> npt.NDArray[np.float32]:
    """Round towards minus infinity to float32.

    For a float32 x and any t, x <= t exactly when x <= floor_float32(t); rounding to nearest would send rows
    that lie between t and the float32 above it down the wrong branch.
    """
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    above = rounded.astype(np.float64) > values
    return np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def write_forest(builder: GraphBuilder, features: str, forest: Forest) -> str:
    """Write the forest's sums over `features` [N, width] and return their tensor, float32 [N, outputs].

    Each output gets a node of its own: ONNX Runtime sums single outputs a quarter faster than several together.
    """
    if len(forest.groups) == 1:
        return _write_group(builder, features, forest, forest.groups[0], forest.base)
    sums = [
        _write_group(builder, features, forest, trees, [base])
        for trees, base in zip(forest.groups, forest.base, strict=True)
    ]
    return builder.add("Concat", *sums, axis=1)


def _write_group(
    builder: GraphBuilder, features: str, forest: Forest, trees: Sequence[Tree], base: Sequence[float]
) -> str:
    sizes = [len(tree.feature) for tree in trees]
    identity = {
        "treeids": np.repeat(np.arange(len(trees)), sizes),
        "nodeids": np.concatenate([np.arange(size) for size in sizes]),
    }
    attributes = _node_attributes(forest.branch, trees) | _leaf_attributes(trees, forest.scale, len(base), identity)
    return builder.add_ml(
        "TreeEnsembleRegressor",
        features,
        n_targets=len(base),
        base_values=np.asarray(base, dtype=np.float32),
        **{f"nodes_{name}": values for name, values in identity.items()},
        **attributes,
    )


def _node_attributes(branch: Branch, trees: Sequence[Tree]) -> dict[str, npt.NDArray[Any]]:
    left = np.concatenate([tree.left for tree in trees])
    right = np.concatenate([tree.right for tree in trees])
    leaf = left < 0
    threshold = np.concatenate([tree.threshold for tree in trees])
    threshold32 = floor_float32(threshold) if branch == "BRANCH_LEQ" else threshold.astype(np.float32)
    feature = np.concatenate([tree.feature for tree in trees])
    missing = np.concatenate([tree.missing_left for tree in trees])
    return {
        "nodes_featureids": np.where(leaf, 0, feature),
        "nodes_values": np.where(leaf, np.float32(0), threshold32),
        "nodes_modes": np.where(leaf, b"LEAF", branch.encode()),
        "nodes_truenodeids": np.where(leaf, 0, left),
        "nodes_falsenodeids": np.where(leaf, 0, right),
        "nodes_missing_value_tracks_true": np.where(leaf, 0, missing).astype(np.int64),
    }


def _leaf_attributes(
    trees: Sequence[Tree], scale: float, outputs: int, identity: dict[str, Integers]
) -> dict[str, npt.NDArray[Any]]:
    leaf = np.concatenate([tree.left for tree in trees]) < 0
    values = np.concatenate([tree.value.reshape(len(tree.feature), -1) for tree in trees])[leaf] * scale
    if values.shape[1] != outputs:
        raise ValueError(f"leaves hold {values.shape[1]} values for {outputs} outputs")
    # A leaf's zero among several outputs adds nothing to any sum; leaving it out saves memory in pure leaves.
    written = (values != 0) if outputs > 1 else np.ones_like(values, dtype=bool)
    rows, targets = np.nonzero(written)
    return {
        "target_treeids": identity["treeids"][leaf][rows],
        "target_nodeids": identity["nodeids"][leaf][rows],
        "target_ids": targets,
        "target_weights": values[written].astype(np.float32),
    }


def write_link(builder: GraphBuilder, scores: str, *, binary: bool) -> str:
    """Turn scores into probabilities: a single log-odds column by the logistic function, several by softmax."""
    if not binary:
        return builder.add("Softmax", scores, axis=1)
    # softmax over (0, s) is the logistic function of s, and gives both classes' columns in one node
    pair = builder.add("MatMul", scores, builder.constant([[0.0, 1.0]]))
    return builder.add("Softmax", pair, axis=1)

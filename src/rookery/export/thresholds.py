"""The decisions of a graph's tree ensembles: read back from its bytes, so that none is taken on trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, helper

from rookery.export.runner import Matrix

ENSEMBLES = ("TreeEnsembleRegressor", "TreeEnsembleClassifier")


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Every node of every tree that reads the graph's input; arrays have one entry per node."""

    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float32]
    is_branch: npt.NDArray[np.bool_]
    is_strict: npt.NDArray[np.bool_]
    """Whether the condition is `<` rather than `<=`."""
    parent: npt.NDArray[np.int64]
    """The parent's position in these arrays; -1 at a root."""
    is_left: npt.NDArray[np.bool_]
    """Whether the node is its parent's child for rows that meet the condition."""
    trees: int

    @property
    def branches(self) -> npt.NDArray[np.int64]:
        """The positions of all decisions."""
        return np.flatnonzero(self.is_branch)

    def thresholds_of(self, feature: int) -> npt.NDArray[np.float32]:
        """Return the sorted distinct thresholds that one feature is compared with."""
        return np.unique(self.threshold[self.is_branch & (self.feature == feature)])


def read_splits(model: bytes) -> Splits:
    """Read the decisions of all tree ensembles that stand directly behind the model's input."""
    graph = ModelProto.FromString(model).graph
    source = graph.input[0].name
    parts = [_read_node(node) for node in graph.node if node.op_type in ENSEMBLES and node.input[0] == source]
    offset, joined = 0, []
    for part in parts:
        joined.append({**part, "parent": np.where(part["parent"] < 0, -1, part["parent"] + offset)})
        offset += len(part["feature"])
    kinds = {"feature": np.int64, "threshold": np.float32, "parent": np.int64}
    arrays: dict[str, npt.NDArray[Any]] = {
        name: np.concatenate([np.zeros(0, dtype), *(part[name] for part in joined)]).astype(dtype)
        for name, dtype in (*kinds.items(), ("is_branch", np.bool_), ("is_strict", np.bool_), ("is_left", np.bool_))
    }
    return Splits(trees=int((arrays["parent"] < 0).sum()), **arrays)


def _read_node(node: NodeProto) -> dict[str, npt.NDArray[Any]]:
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute if item.name.startswith("nodes_")}
    tree, number = np.asarray(values["nodes_treeids"]), np.asarray(values["nodes_nodeids"])
    modes = np.asarray(values["nodes_modes"])
    is_branch = modes != b"LEAF"
    span = int(number.max()) + 1
    keys = tree * span + number
    by_key = np.argsort(keys, kind="stable")
    parent, is_left = np.full(len(keys), -1), np.zeros(len(keys), dtype=bool)
    for side, child in ((True, values["nodes_truenodeids"]), (False, values["nodes_falsenodeids"])):
        wanted = (tree * span + np.asarray(child))[is_branch]
        positions = by_key[np.searchsorted(keys[by_key], wanted)]
        parent[positions] = np.flatnonzero(is_branch)
        is_left[positions] = side
    return {
        "feature": np.asarray(values["nodes_featureids"]),
        "threshold": np.asarray(values["nodes_values"], dtype=np.float32),
        "is_branch": is_branch,
        "is_strict": modes == b"BRANCH_LT",
        "parent": parent,
        "is_left": is_left,
    }


def probe_thresholds(splits: Splits, base: Matrix, *, limit: int) -> Matrix:
    """Return rows that reach a decision and lie on its threshold, one float32 step below and one above.

    `base` [m, features] are real rows; each probe is one of them, moved as little as the conditions on the way
    from the tree's root to the decision demand. With more than `limit` decisions an evenly spaced choice of them
    is probed (the same one every time). Returns [3 * probed, features].
    """
    branches = splits.branches
    if len(branches) > limit:
        branches = branches[np.linspace(0, len(branches) - 1, limit).round().astype(np.int64)]
    if not len(branches):
        return np.zeros((0, base.shape[1]), dtype=np.float32)
    low, high = _intervals(splits, branches, base.shape[1])
    rows = base[np.arange(len(branches)) % len(base)].copy()
    missing = np.isnan(rows) & (np.isfinite(low) | np.isfinite(high))
    rows[missing] = np.where(np.isfinite(high), high, low)[missing]
    rows = np.minimum(np.maximum(rows, low), high)
    rows[np.isposinf(low)] = np.nan  # beyond a threshold of infinity lie missing values alone
    every, feature, threshold = np.arange(len(branches)), splits.feature[branches], splits.threshold[branches]
    probes = []
    for step in (None, -np.inf, np.inf):
        probe = rows.copy()
        probe[every, feature] = threshold if step is None else np.nextafter(threshold, np.float32(step))
        probes.append(probe)
    found = np.concatenate(probes)
    return np.ascontiguousarray(found[~np.isinf(found).any(axis=1)])


def _intervals(splits: Splits, nodes: npt.NDArray[np.int64], width: int) -> tuple[Matrix, Matrix]:
    """Return, per node and feature, the closed float32 interval of values that lead to the node: two [n, width]."""
    low = np.full((len(nodes), width), -np.inf, dtype=np.float32)
    high = np.full((len(nodes), width), np.inf, dtype=np.float32)
    child, rows = nodes.copy(), np.arange(len(nodes))
    while True:
        climbing = splits.parent[child] >= 0
        if not climbing.any():
            return low, high
        child, rows = child[climbing], rows[climbing]
        parent = splits.parent[child]
        feature, threshold, strict = splits.feature[parent], splits.threshold[parent], splits.is_strict[parent]
        left = splits.is_left[child]
        below, above = np.nextafter(threshold, np.float32(-np.inf)), np.nextafter(threshold, np.float32(np.inf))
        top, bottom = np.where(strict, below, threshold), np.where(strict, threshold, above)
        high[rows[left], feature[left]] = np.minimum(high[rows[left], feature[left]], top[left])
        right = ~left
        low[rows[right], feature[right]] = np.maximum(low[rows[right], feature[right]], bottom[right])
        child = parent

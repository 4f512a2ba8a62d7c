"""The decisions of a graph are read back from its bytes, and every one of them is reached by a probe."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from rookery.export.convert import export_estimator
from rookery.export.golden import clearance
from rookery.export.parity import prove
from rookery.export.probes import bounds_of, probe_bounds, probe_codes, probe_missing, spread_rows, ulp_neighbours
from rookery.export.thresholds import Splits, probe_thresholds, read_splits
from rookery.fields.columns import Column
from tests.export.samples import GAUGE, HOUSE, LABELS, classifiers, house_classes, house_rows


def _splits_of(name: str) -> tuple[Splits, int]:
    rows = house_rows()
    estimator = classifiers(HOUSE.width)[name].fit(rows, house_classes(rows, 3))
    model = export_estimator(estimator, schema=HOUSE, derived={}, task=LABELS[3]).model
    members = getattr(estimator, "estimators_", None)
    decisions = sum(int((member.tree_.children_left >= 0).sum()) for member in members) if members is not None else -1
    return read_splits(model), decisions


def _walk(splits: Splits, row: np.ndarray, node: int) -> bool:
    """Tell whether a row meets every condition on the way from the root to a node."""
    while splits.parent[node] >= 0:
        parent, threshold = splits.parent[node], splits.threshold[splits.parent[node]]
        value = row[splits.feature[parent]]
        goes_left = value < threshold if splits.is_strict[parent] else value <= threshold
        if goes_left != splits.is_left[node]:
            return False
        node = parent
    return True


def test_all_decisions_are_read_back() -> None:
    splits, decisions = _splits_of("RandomForestClassifier")
    assert len(splits.branches) == decisions
    assert splits.trees == 20


@pytest.mark.parametrize("name", ["RandomForestClassifier", "XGBClassifier", "LGBMClassifier"])
def test_every_probe_reaches_its_decision_and_lies_on_its_threshold(name: str) -> None:
    splits, _ = _splits_of(name)
    probes = probe_thresholds(splits, house_rows(seed=4, rows=5), limit=10**6)
    count = len(splits.branches)
    assert len(probes) == 3 * count
    for index, node in enumerate(splits.branches):
        on, below, above = (probes[index + offset * count] for offset in range(3))
        feature, threshold = splits.feature[node], splits.threshold[node]
        assert on[feature] == threshold
        assert below[feature] < threshold < above[feature]
        assert below[feature] == np.nextafter(threshold, np.float32(-np.inf))
        # A threshold may equal one above it on the way; then one of the three lies beyond, as no row gets there.
        assert any(_walk(splits, probe, node) for probe in (on, below, above))


def test_a_limit_takes_an_even_share_and_the_same_one_each_time() -> None:
    splits, _ = _splits_of("RandomForestClassifier")
    base = house_rows(rows=5)
    first = probe_thresholds(splits, base, limit=50)
    assert len(first) == 150
    np.testing.assert_array_equal(first, probe_thresholds(splits, base, limit=50))


def test_a_graph_without_trees_has_no_decisions() -> None:
    splits, _ = _splits_of("LogisticRegression")
    assert splits.trees == len(splits.branches) == 0
    assert len(probe_thresholds(splits, house_rows(rows=2), limit=10)) == 0


def test_nodes_below_missing_values_are_probed_with_missing_values() -> None:
    """A tree that parts missing values from all others has an infinite threshold, which no probe may hold."""
    rows = np.linspace(0, 1, 64, dtype=np.float32)[:, None].repeat(2, axis=1)
    rows[::2, 1] = np.nan
    target = np.where(np.isnan(rows[:, 1]), rows[:, 0] > 0.5, 2).astype(int)
    estimator = RandomForestClassifier(5, bootstrap=False, max_features=None, random_state=0).fit(rows, target)
    exported = export_estimator(estimator, schema=GAUGE, derived={}, task=LABELS[3])
    splits = read_splits(exported.model)
    assert np.isinf(splits.threshold).any()
    probes = probe_thresholds(splits, rows[1::2], limit=1000)
    assert np.isnan(probes[:, 1]).any()
    assert not np.isinf(probes).any()
    prove(estimator, exported, schema=GAUGE, derived={}, task=LABELS[3], matrix=rows)


def test_clearance_counts_float32_steps_to_the_nearest_threshold() -> None:
    splits, _ = _splits_of("DecisionTreeClassifier")
    node = splits.branches[0]
    row = np.full((3, HOUSE.width), np.nan, dtype=np.float32)
    threshold = splits.threshold[node]
    row[0, splits.feature[node]] = threshold
    row[1, splits.feature[node]] = np.nextafter(threshold, np.float32(np.inf))
    found = clearance(row, splits)
    assert found[0] == 0
    assert found[1] == pytest.approx(1)
    assert found[2] == np.inf


def test_schema_probes_hold_every_category_bound_and_missing_value() -> None:
    base = house_rows(rows=3)
    codes, bounds = probe_codes(HOUSE.columns, base), probe_bounds(HOUSE.columns, base)
    assert set(np.unique(codes[:, 6])) == {0, 1, 2}
    assert set(np.unique(codes[:, 5])) == {0, 1}
    for position, column in enumerate(HOUSE.columns):
        assert set(bounds_of(column)) <= set(bounds[:, position].tolist())
    missing = probe_missing(GAUGE.columns, np.ones((2, 2), np.float32))
    assert np.isnan(missing[:, 1]).all()
    assert not np.isnan(missing[:, 0]).any()
    assert probe_missing(HOUSE.columns, base).shape == (0, 7)


def test_bounds_are_what_inputs_at_the_bounds_become() -> None:
    def column(**bounds: float) -> Column:
        return Column(name="x", field="x", kind="number", **bounds)  # type: ignore[arg-type]

    assert bounds_of(column(minimum=0.1, maximum=0.7)) == [float(np.float32(0.1)), float(np.float32(0.7))]
    assert bounds_of(column(minimum=1.0, exclusive_minimum=2.0)) == [2.0]
    assert bounds_of(column()) == []
    integer = Column(name="x", field="x", kind="integer", exclusive_minimum=0, exclusive_maximum=9)
    assert bounds_of(integer) == [1.0, 8.0]


def test_spread_rows_and_neighbours() -> None:
    matrix = np.arange(20, dtype=np.float32).reshape(10, 2)
    assert len(spread_rows(matrix, 4)) == 4
    assert spread_rows(matrix, 20) is matrix
    near = ulp_neighbours(np.asarray([1.0, np.nan], dtype=np.float32))
    assert near.shape == (6, 2)
    assert set(near[:, 0].tolist()) == {1.0, float(np.nextafter(np.float32(1), np.float32(2))), 1 - 2**-24}

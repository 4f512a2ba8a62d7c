"""The proof refuses graphs that were tampered with, and excuses only what one float32 step explains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xgboost
from onnx import ModelProto, NodeProto, helper
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from rookery.errors import DataError, ParityError
from rookery.export.convert import Exported, export_estimator
from rookery.export.derived import derive
from rookery.export.parity import prove
from rookery.fields.expression import col
from tests.export.samples import (
    DERIVED,
    HOUSE,
    LABELS,
    REGRESSION,
    fit_export_prove,
    house_classes,
    house_prices,
    house_rows,
)

Change = Callable[[NodeProto], None]


def _tamper(exported: Exported, operator: str, change: Change) -> Exported:
    model = ModelProto.FromString(exported.model)
    nodes = [node for node in model.graph.node if node.op_type == operator]
    assert nodes, f"no {operator} in the graph"
    change(nodes[0])
    return replace(exported, model=model.SerializeToString())


def _attribute(node: NodeProto, name: str) -> Any:
    return next(attribute for attribute in node.attribute if attribute.name == name)


@pytest.fixture(scope="module")
def boosted() -> tuple[Any, Exported]:
    """A small XGBoost model and its true export."""
    estimator = xgboost.XGBClassifier(n_estimators=10, max_depth=4, n_jobs=1)
    rows = house_rows()
    estimator.fit(rows, house_classes(rows, 3))
    return estimator, export_estimator(estimator, schema=HOUSE, derived={}, task=LABELS[3])


def _prove(estimator: Any, exported: Exported, rows: int = 400) -> None:
    prove(estimator, exported, schema=HOUSE, derived={}, task=LABELS[3], matrix=house_rows(seed=1, rows=rows))


def test_the_untampered_graph_is_proven(boosted: tuple[Any, Exported]) -> None:
    _prove(*boosted)


def test_one_changed_leaf_is_refused(boosted: tuple[Any, Exported]) -> None:
    def change(node: NodeProto) -> None:
        _attribute(node, "target_weights").floats[3] += 0.5

    with pytest.raises(ParityError, match="differs from XGBClassifier") as caught:
        _prove(boosted[0], _tamper(boosted[1], "TreeEnsembleRegressor", change))
    assert caught.value.rows


def test_every_leaf_counts_even_if_no_row_reaches_it(boosted: tuple[Any, Exported]) -> None:
    """With one single row given, the threshold probes alone find a changed leaf: they visit every decision."""
    leaves = len(_attribute(ModelProto.FromString(boosted[1].model).graph.node[0], "target_weights").floats)
    for leaf in range(0, leaves, 7):

        def change(node: NodeProto, leaf: int = leaf) -> None:
            _attribute(node, "target_weights").floats[leaf] += 0.5

        with pytest.raises(ParityError):
            _prove(boosted[0], _tamper(boosted[1], "TreeEnsembleRegressor", change), rows=1)


def test_a_moved_threshold_is_refused(boosted: tuple[Any, Exported]) -> None:
    def change(node: NodeProto) -> None:
        values = _attribute(node, "nodes_values").floats
        values[0] = np.float32(values[0]) * np.float32(1.05)

    with pytest.raises(ParityError, match="differs"):
        _prove(boosted[0], _tamper(boosted[1], "TreeEnsembleRegressor", change))


def test_a_comparison_of_the_other_kind_is_refused(boosted: tuple[Any, Exported]) -> None:
    """`<=` for `<` differs on the thresholds alone: of the row given, of bounds and of the probes made for them."""

    def change(node: NodeProto) -> None:
        modes = _attribute(node, "nodes_modes").strings
        modes[:] = [b"BRANCH_LEQ" if mode == b"BRANCH_LT" else mode for mode in modes]

    with pytest.raises(ParityError, match="differs from XGBClassifier"):
        _prove(boosted[0], _tamper(boosted[1], "TreeEnsembleRegressor", change), rows=1)


def test_permuted_labels_are_refused(boosted: tuple[Any, Exported]) -> None:
    def change(node: NodeProto) -> None:
        first, second, third = node.input
        node.input[:] = [second, first, third]

    with pytest.raises(ParityError, match="differs"):
        _prove(boosted[0], _tamper(boosted[1], "Concat", change))


def test_a_wrong_category_alone_is_refused() -> None:
    """The rows given show two of three categories; the category probe finds the third's wrong coefficient."""
    rows = house_rows()
    estimator = make_pipeline(OneHotEncoder(categories=[[0.0, 1.0, 2.0]], sparse_output=False), LogisticRegression())
    narrow = type(HOUSE)(HOUSE.model, HOUSE.columns[6:])
    estimator.fit(rows[:, 6:], house_classes(rows, 2))
    exported = export_estimator(estimator, schema=narrow, derived={}, task=LABELS[2])
    two = rows[rows[:, 6] < 2][:, 6:]
    prove(estimator, exported, schema=narrow, derived={}, task=LABELS[2], matrix=two)

    model = ModelProto.FromString(exported.model)
    for tensor in model.graph.initializer:
        values = np.frombuffer(tensor.raw_data, dtype=np.float64) if tensor.data_type == 11 else np.zeros(0)
        if list(values) == [0.0, 1.0, 2.0]:
            tensor.raw_data = np.asarray([0.0, 1.0, 3.0]).tobytes()
    tampered = replace(exported, model=model.SerializeToString())
    with pytest.raises(ParityError, match="rows with every category"):
        prove(estimator, tampered, schema=narrow, derived={}, task=LABELS[2], matrix=two)


def test_a_category_that_training_never_saw_is_refused_with_the_cure() -> None:
    rows = house_rows()[:, 6:]
    narrow = type(HOUSE)(HOUSE.model, HOUSE.columns[6:])
    two = rows[rows[:, 0] < 2]
    estimator = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(two, two[:, 0] == 1)
    exported = export_estimator(estimator, schema=narrow, derived={}, task=LABELS[2])
    with pytest.raises(ParityError, match=r"refuses rows with every category.*handle_unknown='ignore'"):
        prove(estimator, exported, schema=narrow, derived={}, task=LABELS[2], matrix=two)


def test_a_missing_value_sent_the_other_way_is_refused() -> None:
    from tests.export.samples import GAUGE, gauge_rows

    rows = gauge_rows()
    target = (np.nan_to_num(rows[:, 1], nan=5.0) + rows[:, 0] > 0).astype(int)
    estimator = xgboost.XGBClassifier(n_estimators=10, n_jobs=1).fit(rows, target)
    exported = export_estimator(estimator, schema=GAUGE, derived={}, task=LABELS[2])
    present = rows[np.isfinite(rows).all(axis=1)]

    def change(node: NodeProto) -> None:
        tracks = _attribute(node, "nodes_missing_value_tracks_true").ints
        tracks[:] = [1 - track for track in tracks]

    tampered = _tamper(exported, "TreeEnsembleRegressor", change)
    prove(estimator, exported, schema=GAUGE, derived={}, task=LABELS[2], matrix=present)
    with pytest.raises(ParityError, match="missing optional value"):
        prove(estimator, tampered, schema=GAUGE, derived={}, task=LABELS[2], matrix=present)


def test_a_wrong_derived_feature_is_refused() -> None:
    rows = house_rows()
    estimator = LinearRegression().fit(derive(HOUSE, DERIVED, rows), house_prices(rows))
    exported = export_estimator(estimator, schema=HOUSE, derived=DERIVED, task=REGRESSION)

    def change(node: NodeProto) -> None:
        node.input[:] = list(node.input)[::-1]

    with pytest.raises(ParityError, match="differs from LinearRegression"):
        prove(
            estimator,
            _tamper(exported, "Div", change),
            schema=HOUSE,
            derived=DERIVED,
            task=REGRESSION,
            matrix=rows,
        )


def test_a_threshold_of_a_derived_feature_is_probed_on_its_own_level() -> None:
    """Only the derived feature is split; flipping its comparison shows at its thresholds, which no row meets."""
    rows = house_rows()
    derived = {"twice": col("area") * 2.0}
    features = derive(HOUSE, derived, rows)
    features[:, :7] = 0
    estimator = HistGradientBoostingRegressor(max_iter=5).fit(features, house_prices(rows))
    exported = export_estimator(estimator, schema=HOUSE, derived=derived, task=REGRESSION)

    def change(node: NodeProto) -> None:
        modes = _attribute(node, "nodes_modes").strings
        modes[:] = [b"BRANCH_LT" if mode == b"BRANCH_LEQ" else mode for mode in modes]

    tampered = _tamper(exported, "TreeEnsembleRegressor", change)
    odd = rows[~np.isin(rows[:, 0] * 2, features[:, 7])]
    odd = house_rows(seed=5) if not len(odd) else odd
    with pytest.raises(ParityError, match="at the trees' thresholds"):
        prove(estimator, tampered, schema=HOUSE, derived=derived, task=REGRESSION, matrix=odd)


class _Nudged:
    """An original that answers as a tree would whose threshold lies one float32 step above the graph's."""

    def __init__(self, estimator: Any, threshold: np.float32, share: float) -> None:
        self.estimator, self.threshold, self.share = estimator, threshold, share
        self.classes_ = estimator.classes_

    def predict_proba(self, rows: Any) -> Any:
        moved = np.array(rows, dtype=np.float32)
        on_step = moved[:, 0] == self.threshold
        moved[on_step, 0] = np.nextafter(self.threshold, np.float32(self.share))
        return self.estimator.predict_proba(moved)

    def predict(self, rows: Any) -> Any:
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


@pytest.fixture(scope="module")
def stump() -> tuple[Any, Exported, np.float32]:
    """A one-split tree on the first column, its export and its float32 threshold."""
    rows = house_rows()
    rows[:, 1:] = 1
    estimator = RandomForestClassifier(1, max_depth=1, bootstrap=False, max_features=None, random_state=0)
    estimator.fit(rows, (rows[:, 0] > 250).astype(int))
    exported = export_estimator(estimator, schema=HOUSE, derived={}, task=LABELS[2])
    node = ModelProto.FromString(exported.model).graph.node[0]
    threshold = helper.get_attribute_value(_attribute(node, "nodes_values"))[0]
    return estimator, exported, np.float32(threshold)


def test_one_float32_step_excuses_one_row_in_a_thousand(stump: tuple[Any, Exported, np.float32]) -> None:
    estimator, exported, threshold = stump
    rows = house_rows(seed=3, rows=3000)
    rows[rows[:, 0] == threshold, 0] = 100
    rows[17, 0] = threshold
    original = _Nudged(estimator, threshold, np.inf)
    # the three threshold probes of a stump hold a row on the threshold too, so the original is asked about rows only
    with pytest.raises(ParityError, match="1 of 3 rows at the trees' thresholds"):
        prove(original, exported, schema=HOUSE, derived={}, task=LABELS[2], matrix=rows)
    rows[:4, 0] = threshold
    with pytest.raises(ParityError, match="in 5 of 3000 rows") as caught:
        prove(original, exported, schema=HOUSE, derived={}, task=LABELS[2], matrix=rows)
    assert caught.value.rows == (0, 1, 2, 3, 17)


def test_the_excuse_is_listed_and_another_answer_is_none(stump: tuple[Any, Exported, np.float32]) -> None:
    from rookery.export.comparison import Comparison
    from rookery.export.runner import GraphRunner

    estimator, exported, threshold = stump
    rows = house_rows(seed=3, rows=2000)
    rows[17, 0] = threshold
    run = GraphRunner(exported.model).run
    comparison = Comparison(_Nudged(estimator, threshold, np.inf), [0, 1], scale=1.0, centre=0.0)
    comparison.compare("rows", rows, run, lambda matrix: matrix)
    assert [entry["row"] for entry in comparison.excused] == [17]
    assert comparison.excused[0]["difference"] > 0.5

    def lie(matrix: Any) -> Any:
        answers = run(matrix).copy()
        answers[matrix[:, 0] == threshold] = [0.5, 0.5]
        return answers

    with pytest.raises(ParityError, match="1 of 2000 rows"):
        Comparison(estimator, [0, 1], scale=1.0, centre=0.0).compare("rows", rows, lie, lambda matrix: matrix)


def test_a_graph_that_answers_alone_otherwise_than_in_a_batch_is_refused() -> None:
    """A graph that adds the batch's mean to every row answers a row alone otherwise."""
    rows = house_rows()
    estimator = LinearRegression().fit(rows, house_prices(rows))
    exported = export_estimator(estimator, schema=HOUSE, derived={}, task=REGRESSION)
    model = ModelProto.FromString(exported.model)
    last = model.graph.node[-1]
    last.output[0] = "before"
    model.graph.node.append(helper.make_node("ReduceMean", ["before"], ["mean"], keepdims=1))
    model.graph.node.append(helper.make_node("Sub", ["before", "mean"], ["centred"]))
    model.graph.node.append(helper.make_node("Add", ["centred", "constant"], ["value"]))
    mean = float(estimator.predict(rows.astype(np.float64)).mean())
    model.graph.initializer.append(helper.make_tensor("constant", 1, [1], [mean]))
    with pytest.raises(ParityError):
        prove(
            estimator,
            replace(exported, model=model.SerializeToString()),
            schema=HOUSE,
            derived={},
            task=REGRESSION,
            matrix=rows,
        )


class _Contrary(LogisticRegression):
    """A classifier whose prediction is not its most probable label, as SVC(probability=True) may be."""

    def predict(self, rows: Any) -> Any:
        return 1 - super().predict(rows)


def test_an_original_whose_label_is_not_its_most_probable_one_is_refused() -> None:
    rows = house_rows()
    plain = LogisticRegression(max_iter=2000).fit(rows, house_classes(rows, 2))
    exported = export_estimator(plain, schema=HOUSE, derived={}, task=LABELS[2])
    contrary = _Contrary(max_iter=2000).fit(rows, house_classes(rows, 2))
    with pytest.raises(ParityError, match="another label than its most probable one"):
        prove(contrary, exported, schema=HOUSE, derived={}, task=LABELS[2], matrix=rows)


def test_no_rows_prove_nothing() -> None:
    rows = house_rows()
    estimator = LinearRegression().fit(rows, house_prices(rows))
    exported = export_estimator(estimator, schema=HOUSE, derived={}, task=REGRESSION)
    with pytest.raises(DataError, match="no row"):
        prove(estimator, exported, schema=HOUSE, derived={}, task=REGRESSION, matrix=rows[:0])


def test_the_report_is_plain_json() -> None:
    import json

    _, report = fit_export_prove(LinearRegression(), REGRESSION, derived=DERIVED)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["rows"] == sum(content["probes"].values())
    assert content["tolerance"] == 1e-4

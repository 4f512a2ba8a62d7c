"""Golden cases show classes, categories, bounds and missing values, away from thresholds, and hold when replayed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto

from rookery.errors import DataError, GoldenMismatch
from rookery.export.convert import Exported
from rookery.export.derived import derive
from rookery.export.golden import choose_golden, clearance
from rookery.export.probes import bounds_of
from rookery.export.thresholds import read_splits
from rookery.fields.encoder import Encoder
from rookery.fields.expression import Rule, col
from rookery.fields.rules import broken_rules
from rookery.package.golden import check_golden, encode_golden, write_golden
from rookery.package.session import OnnxSession
from tests.export.samples import (
    DERIVED,
    GAUGE,
    HOUSE,
    LABELS,
    REGRESSION,
    classifiers,
    fit_export_prove,
    gauge_rows,
    house_rows,
    regressors,
)


@pytest.fixture(scope="module")
def boosted() -> Exported:
    """A proven three-class model."""
    return fit_export_prove(classifiers(HOUSE.width)["XGBClassifier"], LABELS[3])[0]


def test_cases_show_every_class_category_and_bound(boosted: Exported) -> None:
    cases = choose_golden(boosted, schema=HOUSE, derived={}, matrix=house_rows())
    matrix = encode_golden(cases, Encoder(HOUSE), HOUSE)
    assert len(cases) >= 20
    assert len(np.unique(matrix, axis=0)) == len(cases)
    assert {int(np.argmax(case.expected)) for case in cases} == {0, 1, 2}
    assert {case.input["region"] for case in cases} == {"north", "south", "west"}
    assert {case.input["garden"] for case in cases} == {True, False}
    for position, column in enumerate(HOUSE.columns):
        assert set(bounds_of(column)) <= set(matrix[:, position].tolist()), column.name


def test_real_rows_among_the_cases_lie_away_from_thresholds(boosted: Exported) -> None:
    cases = choose_golden(boosted, schema=HOUSE, derived={}, matrix=house_rows(), count=40)
    matrix = encode_golden(cases, Encoder(HOUSE), HOUSE)
    assert np.median(clearance(matrix, read_splits(boosted.model))) >= 64


def test_cases_are_the_same_every_time(boosted: Exported) -> None:
    first, second = (choose_golden(boosted, schema=HOUSE, derived={}, matrix=house_rows()) for _ in range(2))
    assert write_golden(first) == write_golden(second)


def test_cases_hold_on_replay_and_catch_another_graph(boosted: Exported) -> None:
    cases = choose_golden(boosted, schema=HOUSE, derived={}, matrix=house_rows())
    check_golden(cases, Encoder(HOUSE), OnnxSession(boosted.model, boosted.tensors), HOUSE)
    model = ModelProto.FromString(boosted.model)
    leaves = next(item for item in model.graph.node[0].attribute if item.name == "target_weights")
    leaves.floats[:] = [weight * 1.01 for weight in leaves.floats]
    other = replace(boosted, model=model.SerializeToString())
    with pytest.raises(GoldenMismatch):
        check_golden(cases, Encoder(HOUSE), OnnxSession(other.model, other.tensors), HOUSE)


def test_derived_features_count_for_the_distance_from_thresholds() -> None:
    exported, _ = fit_export_prove(regressors(11)["LGBMRegressor"], REGRESSION, derived=DERIVED)
    cases = choose_golden(exported, schema=HOUSE, derived=DERIVED, matrix=house_rows())
    matrix = encode_golden(cases, Encoder(HOUSE), HOUSE)
    assert np.isfinite(derive(HOUSE, DERIVED, matrix)).all()
    check_golden(cases, Encoder(HOUSE), OnnxSession(exported.model, exported.tensors), HOUSE)
    assert all(0 < case.tolerance < 1 for case in cases)


def test_a_class_that_is_never_the_most_probable_is_shown_where_it_is_most_so() -> None:
    rows = house_rows()
    target = np.zeros(len(rows), dtype=int)
    target[::3], target[::40] = 1, 2
    exported, _ = fit_export_prove(
        classifiers(HOUSE.width)["scaled LogisticRegression"], LABELS[3], matrix=rows, target=target
    )
    cases = choose_golden(exported, schema=HOUSE, derived={}, matrix=rows)
    best = max(case.expected[2] for case in cases)
    assert {int(np.argmax(case.expected)) for case in cases} <= {0, 1}
    assert best > np.median([case.expected[2] for case in cases])


def test_missing_values_are_shown() -> None:
    matrix = gauge_rows()
    target = (np.nan_to_num(matrix[:, 1], nan=5.0) + matrix[:, 0] > 0).astype(int)
    exported, _ = fit_export_prove(
        classifiers(2)["HistGradientBoostingClassifier"], LABELS[2], schema=GAUGE, matrix=matrix, target=target
    )
    present = matrix[np.isfinite(matrix).all(axis=1)]
    cases = choose_golden(exported, schema=GAUGE, derived={}, matrix=present)
    assert any(case.input["second"] is None for case in cases)


def test_cases_obey_the_services_rules(boosted: Exported) -> None:
    rules = (Rule(col("area") >= 10 * col("rooms"), "rooms are larger than that", ("area", "rooms")),)
    rows = house_rows()
    rows = rows[rows[:, 0] >= 10 * rows[:, 4]]
    cases = choose_golden(boosted, schema=HOUSE, derived={}, matrix=rows, rules=rules)
    assert broken_rules(rules, HOUSE, encode_golden(cases, Encoder(HOUSE), HOUSE)) == []


def test_few_rows_are_made_more_by_bounds_and_blends(boosted: Exported) -> None:
    cases = choose_golden(boosted, schema=HOUSE, derived={}, matrix=house_rows(rows=2))
    assert len(cases) >= 20


def test_too_few_valid_inputs_are_a_clear_error() -> None:
    narrow = type(GAUGE)(GAUGE.model, GAUGE.columns)
    matrix = np.zeros((1, 2), np.float32)
    draw = gauge_rows()
    target = (draw[:, 0] > 0).astype(int)
    exported, _ = fit_export_prove(
        classifiers(2)["HistGradientBoostingClassifier"], LABELS[2], schema=GAUGE, matrix=draw, target=target
    )
    with pytest.raises(DataError, match=r"only \d+ different valid inputs can be made from 1 rows, 20 are needed"):
        choose_golden(exported, schema=narrow, derived={}, matrix=matrix)

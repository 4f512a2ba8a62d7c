"""The penguins service: its contract, its limits and its accuracy."""

from __future__ import annotations

import json

import pytest

from tests.services.conftest import Train

pytestmark = pytest.mark.xdist_group("penguins")

SAMPLE = (
    '{"bill_length_mm":39.1,"bill_depth_mm":18.7,"flipper_length_mm":181,"body_mass_g":3750,'
    '"year":2007,"sex":"male","island":"Torgersen"}'
)


def test_cross_validated_accuracy_is_at_least_98_percent(trained: Train) -> None:
    report = trained("penguins").report
    assert report.judged_by == "cross-validation"
    assert report.scores["accuracy"] >= 0.98
    assert report.chosen_candidate.held_out["accuracy"] >= 0.964


def test_xgboost_and_two_others_are_compared_and_each_would_pass_the_gate(trained: Train) -> None:
    report = trained("penguins").report
    assert {"XGBClassifier", "RandomForestClassifier"} < {candidate.estimator for candidate in report.candidates}
    assert len(report.candidates) >= 3
    for candidate in report.candidates:
        assert candidate.cross_validation is not None
        assert candidate.cross_validation.mean["accuracy"] >= 0.964


def test_all_333_complete_rows_pass_the_service_s_own_input_model(trained: Train) -> None:
    assert sum(trained("penguins").report.rows.values()) == 333


def test_the_sample_is_answered_in_the_service_s_own_shape(trained: Train) -> None:
    answer = trained("penguins").answer(SAMPLE)
    assert list(answer) == ["species", "confidence", "probabilities"]
    assert answer["species"] == "Adelie"
    assert list(answer["probabilities"]) == ["Adelie", "Chinstrap", "Gentoo"]
    assert answer["confidence"] == max(answer["probabilities"].values())
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"body_mass_g": 3.75}, "body_mass_g"),
        ({"body_mass_g": 37500}, "body_mass_g"),
        ({"bill_length_mm": 3.91}, "bill_length_mm"),
        ({"flipper_length_mm": 18.1}, "flipper_length_mm"),
        ({"bill_length_mm": 18.7, "bill_depth_mm": 39.1}, "bill_length_mm"),
        ({"bill_depth_mm": 181, "flipper_length_mm": 18.7}, "bill_depth_mm"),
        ({"island": "Borneo"}, "island"),
        ({"sex": "m"}, "sex"),
        ({"year": 7}, "year"),
    ],
)
def test_wrong_units_swapped_values_and_unknown_categories_are_refused(
    change: dict[str, object], field: str, trained: Train
) -> None:
    problems = trained("penguins").problems(json.dumps(json.loads(SAMPLE) | change))
    assert any(field in problem for problem in problems)


def test_no_training_row_would_pass_with_bill_length_and_depth_swapped(trained: Train) -> None:
    package = trained("penguins").package
    low, high = package.profile.ranges()
    columns = {column.name: column for column in package.schema.columns}
    length, depth = columns["bill_length_mm"], columns["bill_depth_mm"]
    assert depth.maximum is not None
    assert length.minimum is not None
    assert high[1] < length.minimum
    assert depth.maximum < low[0]


def test_the_chosen_graph_is_light(trained: Train) -> None:
    assert trained("penguins").report.chosen_candidate.graph_bytes < 1_000_000

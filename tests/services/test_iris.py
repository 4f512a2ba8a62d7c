"""The iris service: three models compared, the best by macro-F1 served under its name."""

from __future__ import annotations

import pytest

from tests.services.conftest import Train

pytestmark = pytest.mark.xdist_group("iris")

SAMPLE = '{"features":[5.1,3.5,1.4,0.2]}'


def test_the_best_by_cross_validated_macro_f1_is_chosen_of_three(trained: Train) -> None:
    report = trained("iris").report
    means = {}
    for candidate in report.candidates:
        assert candidate.cross_validation is not None
        means[candidate.name] = round(candidate.cross_validation.mean["f1_macro"], 4)
    assert set(means) == {"LR", "RF", "SVM"}
    assert means[report.chosen] == max(means.values())
    assert report.scores["f1_macro"] >= 0.94


def test_the_forest_has_100_trees_and_the_svm_is_calibrated(trained: Train) -> None:
    service = trained("iris").service
    assert service.candidates["RF"]().n_estimators == 100
    assert service.candidates["SVM"]().ensemble is False


def test_the_sample_is_answered_in_the_service_s_own_shape(trained: Train) -> None:
    iris = trained("iris")
    answer = iris.answer(SAMPLE)
    assert list(answer) == ["prediction", "probability", "latency_ms", "model", "version", "request_id"]
    assert answer["prediction"] == 0
    assert 0.9 < answer["probability"] <= 1
    assert answer["model"] == f"demo-iris-{iris.report.chosen}"
    assert answer["version"] == "1"


@pytest.mark.parametrize(
    "body",
    [
        '{"features":[5.1,3.5,1.4]}',
        '{"features":[5.1,3.5,1.4,0.2,1.0]}',
        '{"features":[5.1,3.5,1.4,-0.2]}',
        '{"features":[51,35,14,2]}',
        '{"features":[5.1,3.5,1.4,"0.2"]}',
        '{"features":[5.1,3.5,1.4,null]}',
        '{"feature":[5.1,3.5,1.4,0.2]}',
        "{}",
    ],
)
def test_vectors_of_another_length_kind_or_range_are_refused(body: str, trained: Train) -> None:
    assert trained("iris").problems(body)

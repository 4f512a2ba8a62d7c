"""The housing service: its contract, its business rules and its error on the held-out fifth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rookery.registry.memory import MemoryRegistry
from rookery.service.discovery import load_service
from rookery.training.load import load_training_data
from rookery.training.run import train
from rookery.training.tracker import NullTracker
from tests.services.conftest import Train, Trained

pytestmark = pytest.mark.xdist_group("housing")

SAMPLE = (
    '{"MedInc":8.3252,"HouseAge":41,"AveRooms":6.98,"AveBedrms":1.02,"Population":322,"AveOccup":2.56,'
    '"Latitude":37.88,"Longitude":-122.23}'
)


@pytest.fixture(scope="module")
def housing(trained: Train) -> Trained:
    """The service, trained on what data there is."""
    return trained("housing")


@pytest.fixture(scope="module")
def real_housing(housing: Trained) -> Trained:
    """The service, trained on the real rows: accuracy means nothing on others."""
    if housing.report.synthetic:
        pytest.skip("the California housing data can be neither found (SCIKIT_LEARN_DATA) nor downloaded here")
    return housing


def test_the_error_on_the_held_out_fifth_is_within_the_contract(real_housing: Trained) -> None:
    report = real_housing.report
    assert report.judged_by == "held-out rows"
    assert report.scores["rmse"] <= 0.42
    assert report.scores["r2"] >= 0.865
    assert report.rows["test"] / sum(report.rows.values()) == pytest.approx(0.2, abs=0.01)


def test_three_kinds_of_model_are_compared_and_the_best_rmse_wins(real_housing: Trained) -> None:
    rmse = {candidate.name: candidate.held_out["rmse"] for candidate in real_housing.report.candidates}
    assert set(rmse) == {"linear", "forest", "boosting"}
    assert rmse[real_housing.report.chosen] == min(rmse.values())


def test_all_20640_rows_pass_the_service_s_own_input_model_and_rules(real_housing: Trained) -> None:
    assert sum(real_housing.report.rows.values()) == 20_640


def test_the_sample_is_answered_in_the_service_s_own_shape(housing: Trained) -> None:
    answer = housing.answer(SAMPLE)
    assert list(answer) == ["prediction", "price_usd", "model", "version", "request_id"]
    assert 2.5 < answer["prediction"] < 5.5
    assert answer["price_usd"] == pytest.approx(answer["prediction"] * 100_000, abs=10)
    assert answer["model"] == f"housing-{housing.report.chosen}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AveBedrms": 7.5}, "more bedrooms"),
        ({"Latitude": 36.17, "Longitude": -115.14}, "outside California"),
        ({"Latitude": 39.53, "Longitude": -119.81}, "outside California"),
        ({"Latitude": 35.0, "Longitude": -123.5}, "outside California"),
        ({"Population": 3, "AveOccup": 4.5}, "larger than the population"),
        ({"MedInc": 83252}, "MedInc"),
        ({"Longitude": 122.23}, "Longitude"),
        ({"AveRooms": 0}, "AveRooms"),
    ],
)
def test_each_business_rule_has_its_own_message(change: dict[str, float], words: str, housing: Trained) -> None:
    problems = housing.problems(json.dumps(json.loads(SAMPLE) | change))
    assert len(problems) == 1
    assert words in problems[0]


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(32.54, -117.04), (33.34, -118.33), (34.85, -114.61), (38.95, -119.98), (40.44, -124.41), (41.76, -124.2)],
)
def test_the_corners_and_islands_of_california_are_inside(latitude: float, longitude: float, housing: Trained) -> None:
    body = json.dumps(json.loads(SAMPLE) | {"Latitude": latitude, "Longitude": longitude})
    assert housing.problems(body) == []


def test_without_data_and_network_a_marked_synthetic_sample_starts_the_service(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No copy lies in the empty folder, and the proxy that everything goes through refuses connections."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    service = load_service(repository / "services", "housing")
    data = load_training_data(service)
    assert data.synthetic
    assert np.isfinite(data.matrix).all()
    registry = MemoryRegistry(tmp_path / "registry")
    report = train(service, registry=registry, tracker=NullTracker(), home=tmp_path / "home")
    assert report.synthetic
    assert registry.version("housing", "champion").synthetic
    card = (registry.download("housing", "1", tmp_path / "package") / "MODEL_CARD.md").read_text()
    assert "Trained on synthetic data" in card

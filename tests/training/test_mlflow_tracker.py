"""MLflow: a training becomes a parent run with a child per candidate, in a real database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rookery.errors import GateError
from rookery.registry.memory import MemoryRegistry
from rookery.registry.mlflow_client import open_client, sqlite_uri
from rookery.settings import Settings
from rookery.training.mlflow_tracker import connect_tracker
from rookery.training.run import train
from tests.training.samples import places, points, with_gate


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a home whose embedded registry all tests of this file share."""
    return Settings(home=tmp_path_factory.mktemp("home"))


def find_runs(settings: Settings, service: str) -> tuple[Any, list[Any]]:
    """The MLflow client, and the runs of a service's experiment, oldest first."""
    client = open_client(sqlite_uri(settings.home / "registry" / "mlflow.db"))
    experiment = client.get_experiment_by_name(service)
    return client, client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def read_artifact(settings: Settings, client: Any, run_id: str, path: str, folder: Path) -> bytes:
    return Path(client.download_artifacts(run_id, path, str(folder))).read_bytes()


def test_a_training_leaves_a_parent_run_and_a_child_per_candidate(
    settings: Settings, registry: MemoryRegistry, tmp_path: Path
) -> None:
    report = train(points(), registry=registry, tracker=connect_tracker(settings), home=tmp_path)
    client, runs = find_runs(settings, "points")
    parent, *children = runs
    assert parent.info.run_id == report.run_id
    assert [child.data.tags["mlflow.parentRunId"] for child in children] == [report.run_id] * 2
    assert [child.info.run_name for child in children] == ["logistic", "tree"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert parent.data.tags["rookery.dataset_digest"] == report.dataset_digest
    assert parent.data.tags["rookery.chosen"] == report.chosen
    assert parent.data.metrics["accuracy"] == pytest.approx(report.scores["accuracy"])
    assert parent.data.params["seed"] == "0"
    first = children[0]
    assert first.data.params["estimator"] == "LogisticRegression"
    assert first.data.metrics["f1_macro"] == pytest.approx(report.candidates[0].held_out["f1_macro"])
    names = {entry.path for entry in client.list_artifacts(first.info.run_id)}
    assert names == {
        "classification_report.json",
        "classification_report.txt",
        "confusion_matrix.png",
        "importance.json",
        "importance.png",
        "report.json",
    }
    picture = read_artifact(settings, client, first.info.run_id, "confusion_matrix.png", tmp_path)
    assert picture.startswith(b"\x89PNG")
    recorded = json.loads(read_artifact(settings, client, parent.info.run_id, "report.json", tmp_path))
    assert recorded["content_digest"] == report.content_digest


def test_a_regression_leaves_its_residuals(settings: Settings, registry: MemoryRegistry, tmp_path: Path) -> None:
    train(places(), registry=registry, tracker=connect_tracker(settings), home=tmp_path)
    client, runs = find_runs(settings, "places")
    assert read_artifact(settings, client, runs[1].info.run_id, "residuals.png", tmp_path).startswith(b"\x89PNG")


def test_a_training_that_misses_its_gate_is_a_failed_run_that_says_why(
    settings: Settings, registry: MemoryRegistry, tmp_path: Path
) -> None:
    service = with_gate(points(name="missed"), accuracy=0.9999)
    with pytest.raises(GateError):
        train(service, registry=registry, tracker=connect_tracker(settings), home=tmp_path)
    _, (parent, *children) = find_runs(settings, "missed")
    assert parent.info.status == "FAILED"
    assert "misses its gate" in parent.data.tags["rookery.error"]
    assert [child.info.status for child in children] == ["FINISHED", "FINISHED"]

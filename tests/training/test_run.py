"""Training as a whole: what it leaves in the registry, and that a fault leaves nothing there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rookery.errors import DefinitionError, GateError, RookeryError, TrainingError, UnsupportedEstimator
from rookery.package.opener import open_package
from rookery.registry.memory import MemoryRegistry
from rookery.service.dataset import Dataset
from rookery.service.definition import Service
from rookery.service.policies import Gate
from rookery.training.load import load_training_data
from rookery.training.report import TrainingReport
from rookery.training.run import train
from rookery.training.scores import score
from rookery.training.split import split_rows
from rookery.training.tracker import NullTracker, RunRecord
from tests.training.samples import changed, line, logistic, places, point_columns, points, tree, with_gate


class ListTracker:
    """Keeps what it is told."""

    wants_figures = True

    def __init__(self) -> None:
        self.started: list[RunRecord] = []
        self.candidates: dict[str, RunRecord] = {}
        self.finished: list[tuple[RunRecord, bool]] = []

    def start(self, service: str, record: RunRecord) -> str:
        self.started.append(record)
        return f"{service}-run"

    def add_candidate(self, parent: str | None, name: str, record: RunRecord) -> str:
        assert parent is not None
        self.candidates[name] = record
        return f"{parent}-{name}"

    def finish(self, parent: str | None, record: RunRecord, *, succeeded: bool) -> None:
        assert parent is not None
        self.finished.append((record, succeeded))


def run(service: Service, registry: MemoryRegistry, home: Path, **options: Any) -> TrainingReport:
    return train(service, registry=registry, tracker=NullTracker(), home=home, **options)


def read_metrics(registry: MemoryRegistry, service: str, version: str, folder: Path) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(
        (registry.download(service, version, folder) / "metrics.json").read_bytes()
    )
    return document


def test_a_training_registers_a_champion_whose_package_opens(registry: MemoryRegistry, tmp_path: Path) -> None:
    report = run(points(), registry, tmp_path / "home")
    assert report.version.version == "1"
    assert registry.aliases("points") == {"champion": "1"}
    assert registry.traffic("points").weights == {"1": 100}
    package = open_package(registry.download("points", "1", tmp_path / "package"))
    assert package.manifest.content_digest == report.content_digest
    assert package.manifest.candidate == report.chosen
    assert len(package.golden) >= 20
    assert list((tmp_path / "home").iterdir()) == []


def test_the_held_out_scores_are_those_of_the_very_package_that_ships(registry: MemoryRegistry, tmp_path: Path) -> None:
    service = points()
    report = run(service, registry, tmp_path / "home")
    package = open_package(registry.download("points", "1", tmp_path / "package"))
    data = load_training_data(service)
    split = split_rows("points", service.require_task(), data.matrix, data.target, seed=0, test_share=0.2)
    outputs = package.run(data.matrix[split.test])
    assert report.chosen_candidate.held_out == score(service.require_task(), data.target[split.test], outputs)
    assert report.rows == {"train": len(split.train), "test": len(split.test)}
    # Rows that judged did not teach: the profile describes the others.
    assert package.profile.rows == len(split.train)


def test_small_data_is_chosen_and_gated_by_cross_validation(registry: MemoryRegistry, tmp_path: Path) -> None:
    report = run(points(), registry, tmp_path / "home")
    validation = report.chosen_candidate.cross_validation
    assert validation is not None
    assert (validation.folds, validation.repeats) == (5, 1)
    assert (report.chosen_by, report.judged_by) == ("cross-validation", "cross-validation")
    assert report.scores == validation.mean


def test_large_data_is_gated_by_the_held_out_part(registry: MemoryRegistry, tmp_path: Path) -> None:
    report = run(places(rows=2_500), registry, tmp_path / "home")
    assert report.chosen_candidate.cross_validation is None
    assert (report.chosen_by, report.judged_by) == ("held-out rows", "held-out rows")
    assert report.scores == report.chosen_candidate.held_out
    assert report.scores["rmse"] == pytest.approx(0.1, rel=0.1)


def test_metrics_tell_of_every_candidate_the_gate_and_the_proof(registry: MemoryRegistry, tmp_path: Path) -> None:
    report = run(points(), registry, tmp_path / "home")
    metrics = read_metrics(registry, "points", "1", tmp_path / "package")
    assert list(metrics["candidates"]) == ["logistic", "tree"]
    assert metrics["scores"] == report.scores
    assert metrics["parity"]["rows"] > 0
    assert metrics["parity"]["max_difference"] <= metrics["parity"]["tolerance"]
    assert np.array(metrics["held_out"]["confusion_matrix"]).sum() == report.rows["test"]
    assert set(metrics["importance"]) == {"x", "y", "count", "colour"}
    assert [condition["met"] for condition in metrics["gate"]] == [True]
    assert metrics["split"]["seed"] == 0
    regression = run(places(), registry, tmp_path / "home")
    residuals = read_metrics(registry, "places", regression.version.version, tmp_path / "other")["held_out"]
    assert residuals["residual_quantiles"]["q05"] < 0 < residuals["residual_quantiles"]["q95"]


def test_columns_that_carry_the_answer_are_the_important_ones(registry: MemoryRegistry, tmp_path: Path) -> None:
    importance = run(points(), registry, tmp_path / "home").chosen_candidate.importance
    assert set(list(importance)[:2]) == {"x", "y"}
    assert abs(importance["colour"]) < 0.1 < importance["x"]


TRAIN_IN_A_PROCESS = """
import sys
from pathlib import Path
from rookery.registry.memory import MemoryRegistry
from rookery.training.run import train
from rookery.training.tracker import NullTracker
from tests.training.test_run import forests
folder = Path(sys.argv[1])
registry = MemoryRegistry(folder / "registry")
report = train(forests(int(sys.argv[2])), registry=registry, tracker=NullTracker(), home=folder)
print(report.content_digest)
"""


def forests(seed: int) -> Service:
    """A service of unseeded random estimators."""

    def forest() -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=5, n_jobs=2)

    def boosting() -> Any:
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=5, subsample=0.5)

    return points(candidates={"forest": forest, "boosting": boosting}, seed=seed, gate=Gate())


def test_the_same_seed_and_data_give_the_same_content_digest_in_any_process(tmp_path: Path, repository: Path) -> None:
    def digest(name: str, seed: int) -> str:
        command = [sys.executable, "-c", TRAIN_IN_A_PROCESS, str(tmp_path / name), str(seed)]
        return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout.strip()

    first = digest("one", 7)
    assert len(first) == 64
    assert digest("two", 7) == first
    assert digest("three", 8) != first


FAULTS: dict[str, tuple[Service, str]] = {
    "missing column": (changed(lambda columns, _: columns.pop("x")), "no column 'x'"),
    "unseen label": (changed(lambda _, target: target.__setitem__(0, "fat")), "none of the task's"),
    "constant column": (changed(lambda columns, _: columns.update(y=[0.5] * 240)), "'y' is constant"),
    "NaN outcome": (changed(lambda _, target: target.__setitem__(0, float("nan"))), "target is missing"),
    "three rows": (
        points(
            lambda: Dataset(columns={k: v[:3] for k, v in point_columns()[0].items()}, target=["near", "far", "far"])
        ),
        "3 training rows",
    ),
    "missed gate": (with_gate(points(), accuracy=0.999), "accuracy"),
    "unsupported estimator": (points(candidates={"logistic": logistic, "svc": lambda: _svc()}), "SVC"),
    "regressor for classes": (points(candidates={"line": line}), "LinearRegression"),
    "factory fails": (points(candidates={"broken": lambda: 1 / 0}), "'broken' cannot be made: ZeroDivisionError"),
    "fit fails": (points(candidates={"wrong": lambda: _wrong()}), "'wrong' cannot be fitted"),
}


def _svc() -> Any:
    from sklearn.svm import SVC

    return SVC()


def _wrong() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=-1.0)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_explained_and_registers_nothing(name: str, registry: MemoryRegistry, tmp_path: Path) -> None:
    service, words = FAULTS[name]
    with pytest.raises(RookeryError) as caught:
        run(service, registry, tmp_path / "home")
    assert words in caught.value.message
    assert caught.value.cure
    assert registry.services() == []


def test_an_undefined_derived_feature_is_refused_before_anything_is_fitted(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    from rookery.fields.expression import log

    service = points(derived={"log_x": log(points().derived["sum"])})
    with pytest.raises(RookeryError, match="log_x"):
        run(service, registry, tmp_path / "home")
    assert registry.services() == []


def test_an_unsupported_estimator_is_refused_before_any_run_or_fit(registry: MemoryRegistry, tmp_path: Path) -> None:
    tracker = ListTracker()
    service = FAULTS["unsupported estimator"][0]
    with pytest.raises(UnsupportedEstimator, match="CalibratedClassifierCV"):
        train(service, registry=registry, tracker=tracker, home=tmp_path)
    assert tracker.started == []
    assert tracker.candidates == {}


def test_a_service_without_candidates_has_nothing_to_train(registry: MemoryRegistry, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no candidates"):
        run(replace(points(), data=None, candidates={}), registry, tmp_path)


def test_a_version_that_is_much_worse_than_the_champion_is_refused(registry: MemoryRegistry, tmp_path: Path) -> None:
    good = points(candidates={"logistic": logistic}, gate=Gate())
    run(good, registry, tmp_path / "home")
    worse = points(candidates={"stump": lambda: _stump_on_colour()}, gate=Gate(against_champion=0.02))
    with pytest.raises(GateError, match="worse than champion version 1"):
        run(worse, registry, tmp_path / "home")
    assert [version.version for version in registry.versions("points")] == ["1"]
    again = run(replace(good, gate=Gate(against_champion=0.0)), registry, tmp_path / "home")
    assert again.version.version == "2"
    assert registry.champions("points") == ["2", "1"]


def _stump_on_colour() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=1, max_features=1, splitter="random", random_state=3)


def test_another_seed_is_compared_only_on_rows_that_trained_neither_version(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    run(places(rows=1_500), registry, tmp_path / "home")
    report = run(places(rows=1_500, seed=1), registry, tmp_path / "home")
    (text,) = [condition.text for condition in report.conditions if condition.name == "against_champion"]
    shared = int(text.split(" held-out rows")[0].rsplit(" ", 1)[1])
    # A fifth of a fifth of the rows was held out by both.
    assert 30 <= shared <= 100
    assert shared < report.rows["test"]


def test_with_too_few_shared_rows_the_comparison_is_left_out_and_noted(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    run(points(), registry, tmp_path / "home")
    report = run(points(seed=1), registry, tmp_path / "home")
    assert any("rows trained neither" in note for note in report.notes)
    assert report.version.version == "2"


def synthetic(service: Service) -> Service:
    """The same service, its rows declared to be invented."""
    assert service.data is not None
    dataset = service.data()
    return replace(service, data=lambda: replace(dataset, synthetic=True))


def test_a_synthetic_version_never_follows_a_real_one(registry: MemoryRegistry, tmp_path: Path) -> None:
    run(points(), registry, tmp_path / "home")
    with pytest.raises(GateError, match="only a synthetic sample"):
        run(synthetic(points()), registry, tmp_path / "home")
    assert registry.aliases("points") == {"champion": "1"}
    assert len(registry.versions("points")) == 1


def test_a_real_version_follows_a_synthetic_one_without_comparison(registry: MemoryRegistry, tmp_path: Path) -> None:
    first = run(synthetic(points()), registry, tmp_path / "home")
    assert first.synthetic
    assert first.version.synthetic
    second = run(points(candidates={"tree": tree}), registry, tmp_path / "home")
    assert [condition.name for condition in second.conditions] == ["accuracy"]
    assert any("synthetic sample" in note for note in second.notes)
    assert registry.aliases("points") == {"champion": "2"}


def test_a_champion_with_other_columns_is_not_compared(registry: MemoryRegistry, tmp_path: Path) -> None:
    from pydantic import BaseModel

    class Smaller(BaseModel):
        x: float
        y: float

    run(points(), registry, tmp_path / "home")
    report = run(points(input=Smaller), registry, tmp_path / "home")
    assert any("it reads other columns" in note for note in report.notes)


def test_a_damaged_champion_does_not_stand_in_the_way(registry: MemoryRegistry, tmp_path: Path) -> None:
    run(points(), registry, tmp_path / "home")
    (model,) = (tmp_path / "registry").rglob("model.onnx")
    model.chmod(0o644)
    model.write_bytes(model.read_bytes()[:-1])
    report = run(points(), registry, tmp_path / "home")
    assert any("no longer opens" in note for note in report.notes)
    assert registry.aliases("points") == {"champion": "2"}


@pytest.mark.parametrize(("alias", "aliases"), [("challenger", {"challenger": "1"}), (None, {})])
def test_the_new_version_gets_the_alias_that_was_asked_for(
    alias: str | None, aliases: dict[str, str], registry: MemoryRegistry, tmp_path: Path
) -> None:
    run(points(), registry, tmp_path / "home", alias=alias)
    assert registry.aliases("points") == aliases


def test_the_tracker_is_told_of_the_run_its_candidates_and_the_end(registry: MemoryRegistry, tmp_path: Path) -> None:
    tracker = ListTracker()
    report = train(points(), registry=registry, tracker=tracker, home=tmp_path)
    assert tracker.started[0].tags["rookery.dataset_digest"] == report.dataset_digest
    assert list(tracker.candidates) == ["logistic", "tree"]
    record = tracker.candidates["logistic"]
    assert record.params["max_iter"] == "500"
    assert record.metrics["accuracy"] == report.candidates[0].held_out["accuracy"]
    assert record.metrics["cv_accuracy"] > 0.8
    assert record.artifacts["confusion_matrix.png"].startswith(b"\x89PNG")
    assert b"precision" in record.artifacts["classification_report.txt"]
    ((end, succeeded),) = tracker.finished
    assert succeeded
    assert end.tags["rookery.version"] == "1"
    assert report.run_id == report.version.run_id == "points-run"


def test_a_missed_gate_ends_the_run_as_failed_with_the_reason(registry: MemoryRegistry, tmp_path: Path) -> None:
    tracker = ListTracker()
    with pytest.raises(GateError):
        train(with_gate(points(), accuracy=0.999), registry=registry, tracker=tracker, home=tmp_path)
    ((end, succeeded),) = tracker.finished
    assert not succeeded
    assert "accuracy" in end.tags["rookery.error"]
    assert list(tracker.candidates) == ["logistic", "tree"]


def test_progress_never_goes_back_and_names_each_step(registry: MemoryRegistry, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    run(points(), registry, tmp_path / "home", progress=lambda step, done: told.append((step, done)))
    shares = [done for _, done in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.8 < shares[-1] < 1
    assert {"loading data", "fitting tree", "cross-validating logistic", "registering"} <= {step for step, _ in told}


def test_warnings_of_a_fit_are_reported_and_not_printed(
    registry: MemoryRegistry, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    def hasty() -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1)

    report = run(points(candidates={"hasty": hasty}, gate=Gate()), registry, tmp_path / "home")
    assert any("ConvergenceWarning" in note for note in report.notes)
    assert not [warning for warning in recwarn if "ConvergenceWarning" in str(warning.category)]


def test_a_failing_registry_leaves_no_alias_and_a_failed_run(tmp_path: Path) -> None:
    class Full(MemoryRegistry):
        def register(self, package: Path, *, run_id: str | None = None) -> Any:
            raise TrainingError("the disk is full")

    registry, tracker = Full(tmp_path / "registry"), ListTracker()
    with pytest.raises(TrainingError, match="the disk is full"):
        train(points(), registry=registry, tracker=tracker, home=tmp_path / "home")
    assert [succeeded for _, succeeded in tracker.finished] == [False]
    assert registry.aliases("points") == {}
    assert list((tmp_path / "home").iterdir()) == []

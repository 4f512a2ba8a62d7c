"""Model card and report: what people read of a training."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from rookery.registry.memory import MemoryRegistry
from rookery.service.definition import Service
from rookery.training.report import TrainingReport, make_table, rich_progress
from rookery.training.run import train
from rookery.training.tracker import NullTracker
from tests.training.samples import places, points


def train_and_read(service: Service, folder: Path) -> tuple[TrainingReport, str]:
    """Train in an empty registry; returns the report and the card."""
    registry = MemoryRegistry(folder / "registry")
    report = train(service, registry=registry, tracker=NullTracker(), home=folder / "home")
    package = registry.download(service.name, "1", folder / "package")
    return report, (package / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingReport, str]:
    """The points service's report and card."""
    return train_and_read(points(title="Points", description="Near or far."), tmp_path_factory.mktemp("points"))


def test_the_card_tells_purpose_data_scores_limits_and_origin(trained: tuple[TrainingReport, str]) -> None:
    report, card = trained
    assert card.startswith("# Points: points\n")
    for heading in ("## Intended use", "## Data", "## Scores", "## Limits", "## Origin"):
        assert heading in card
    assert "made-up points: 240 rows." in card
    assert f"{report.rows['train']} rows taught and {report.rows['test']} were held out" in card
    assert "x is beyond the fence" in card
    assert "| `x` | cm | -100 to 100 |" in card
    assert f"`{report.dataset_digest}`" in card
    assert "Seed 0." in card
    assert f"{report.scores['accuracy']:.4f} ±" in card
    assert "synthetic" not in card.lower()


def test_the_card_of_synthetic_data_says_so_first(tmp_path: Path) -> None:
    service = places()
    assert service.data is not None
    dataset = replace(service.data(), synthetic=True)
    report, card = train_and_read(replace(service, data=lambda: dataset), tmp_path)
    assert "**Trained on synthetic data.**" in card.split("## ")[0]
    assert "SYNTHETIC" in show(report)
    assert "Nine predictions in ten are off by" in card


def show(report: TrainingReport) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120, force_terminal=False).print(make_table(report))
    return stream.getvalue()


def test_the_table_shows_every_candidate_and_marks_the_chosen_one(trained: tuple[TrainingReport, str]) -> None:
    report, _ = trained
    lines = show(report).splitlines()
    for candidate in report.candidates:
        (line,) = [line for line in lines if f" {candidate.name} " in line and "µs" in line]
        assert ("✔" in line) is (candidate.name == report.chosen)
        assert candidate.cross_validation is not None
        assert f"{candidate.cross_validation.mean['f1_macro']:.4f} ±" in line
        assert f"{candidate.held_out['accuracy']:.4f}" in line
    assert any("gate: accuracy" in line for line in lines)
    assert any("parity proven on" in line for line in lines)


def test_the_report_is_plain_json(trained: tuple[TrainingReport, str]) -> None:
    report, _ = trained
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["chosen"] == report.chosen
    assert document["candidates"][report.chosen]["graph_bytes"] > 0
    assert document["candidates"][report.chosen]["row_microseconds"] > 0
    assert document["version"]["version"] == "1"


def test_the_progress_bar_shows_service_and_step() -> None:
    stream = io.StringIO()
    with rich_progress("points", Console(file=stream, width=100, force_terminal=True)) as progress:
        progress("fitting tree", 0.4)
    assert "points" in stream.getvalue()
    assert "fitting tree" in stream.getvalue()

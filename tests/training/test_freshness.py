"""Freshness: a second start trains nothing, a changed definition does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rookery.registry.memory import MemoryRegistry
from rookery.training.freshness import needs_training
from rookery.training.run import train
from rookery.training.tracker import NullTracker
from tests.training.samples import points


def test_training_is_needed_until_there_is_a_champion_of_this_definition(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    service = points()
    assert needs_training(service, registry, home=tmp_path) == "it has no champion yet"
    train(service, registry=registry, tracker=NullTracker(), home=tmp_path)
    assert needs_training(service, registry, home=tmp_path) is None
    assert needs_training(replace(service, title="Points"), registry, home=tmp_path) is None
    changed = needs_training(replace(service, seed=4), registry, home=tmp_path)
    assert changed == "its definition has changed since version 1"


def test_a_challenger_alone_is_no_champion(registry: MemoryRegistry, tmp_path: Path) -> None:
    train(points(), registry=registry, tracker=NullTracker(), home=tmp_path, alias="challenger")
    assert needs_training(points(), registry, home=tmp_path) == "it has no champion yet"


def test_a_champion_that_cannot_be_read_must_be_trained_anew(registry: MemoryRegistry, tmp_path: Path) -> None:
    train(points(), registry=registry, tracker=NullTracker(), home=tmp_path / "home")
    (metrics,) = (tmp_path / "registry").rglob("metrics.json")
    metrics.chmod(0o644)
    metrics.write_text("{")
    reason = needs_training(points(), registry, home=tmp_path / "home")
    assert reason is not None
    assert "version 1, cannot be read" in reason


def test_a_service_that_is_not_trained_never_needs_it(registry: MemoryRegistry, tmp_path: Path) -> None:
    assert needs_training(replace(points(), data=None, candidates={}), registry, home=tmp_path) is None

"""The champion of today, as a training's yardstick."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import GateError, PackageError, RegistryError, RegistryUnavailable, VersionNotFound
from rookery.package.opener import Package, open_package
from rookery.registry.base import CHAMPION, Registry
from rookery.service.definition import Service
from rookery.training.choice import Condition, judge_against_champion
from rookery.training.load import TrainingData
from rookery.training.rows import Target
from rookery.training.split import Split, is_held_out

LEAST_ROWS = 30
"""Rows that both versions held out; fewer decide nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Champion:
    """The version that serves, opened."""

    version: str
    package: Package
    metrics: dict[str, Any]

    @property
    def synthetic(self) -> bool:
        """Whether it was trained on a synthetic sample."""
        dataset = self.package.manifest.provenance.dataset
        return dataset is not None and dataset.synthetic


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of holding a new version against the champion: conditions of the gate, or why there are none."""

    conditions: tuple[Condition, ...] = ()
    note: str | None = None


def open_champion(service: str, registry: Registry, home: Path) -> Champion | str | None:
    """Return the champion; None when there is none; the reason, in words, when it no longer opens.

    Raises:
        RegistryUnavailable: the registry does not answer, so that nobody knows who is champion.
    """
    try:
        version = registry.version(service, CHAMPION).version
    except VersionNotFound:
        return None
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="champion-", dir=home) as folder:
        try:
            directory = registry.download(service, version, Path(folder) / "package")
            package = open_package(directory)
            metrics = json.loads((directory / "metrics.json").read_bytes())
        except RegistryUnavailable:
            raise
        except (PackageError, RegistryError, OSError, ValueError) as error:
            return f"champion version {version} no longer opens, so nothing was compared with it: {error}"
    return Champion(version=version, package=package, metrics=metrics if isinstance(metrics, dict) else {})


def compare(
    service: Service, data: TrainingData, split: Split, outputs: Target, champion: Champion | str | None
) -> Comparison:
    """Hold the answers to this training's held-out rows against the champion's, on rows that trained neither.

    A version of synthetic data is compared with none of real data: it may not follow one, and makes way for one.

    Raises:
        GateError: it is synthetic and the champion is not.
    """
    if champion is None or isinstance(champion, str):
        return Comparison(note=champion)
    if data.synthetic and not champion.synthetic:
        raise GateError(
            f"{service.name}: champion version {champion.version} knows real data, this one only a synthetic sample",
            cure="Make the real data available; nothing was registered",
        )
    reason = _why_not(service, data, champion)
    if reason is not None:
        return Comparison(note=f"not compared with champion version {champion.version}: {reason}")
    theirs = is_held_out(
        data.matrix[split.test],
        seed=int(champion.metrics["split"]["seed"]),
        test_share=float(champion.metrics["split"]["test_share"]),
    )
    rows = np.flatnonzero(theirs)
    if len(rows) < LEAST_ROWS:
        return Comparison(
            note=f"not compared with champion version {champion.version}: only {len(rows)} rows trained neither"
        )
    conditions = judge_against_champion(
        service.gate,
        service.metric,
        service.require_task(),
        data.target[split.test][rows],
        challenger=outputs[rows],
        champion=champion.package.run(data.matrix[split.test][rows]),
        version=champion.version,
        seed=service.seed,
    )
    return Comparison(conditions=tuple(conditions))


def _why_not(service: Service, data: TrainingData, champion: Champion) -> str | None:
    """Return why two versions cannot be compared, None when they can."""
    manifest = champion.package.manifest
    if data.synthetic != champion.synthetic:
        return "it was trained on a synthetic sample"
    if manifest.task is None or manifest.task_object() != service.task:
        return "it answers another task"
    columns = [(column.name, column.kind, column.categories) for column in service.schema.columns]
    if [(column.name, column.kind, column.categories) for column in manifest.columns] != columns:
        return "it reads other columns"
    split = champion.metrics.get("split")
    if not isinstance(split, dict) or not {"seed", "test_share"} <= split.keys():
        return "it does not say which rows trained it"
    return None

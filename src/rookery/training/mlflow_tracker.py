"""`MlflowTracker`: trainings as MLflow runs, on any tracking server or in the embedded SQLite file.

Everything goes through one client object; MLflow's process-wide active run and tracking URI stay untouched.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import Any

from rookery.registry.mlflow_client import find_experiment, open_client, show_location, sqlite_uri, translated
from rookery.settings import Settings
from rookery.training.tracker import RunRecord

LONGEST_PARAMETER = 6_000
LONGEST_TAG = 5_000
"""MLflow's limits for texts."""


def connect_tracker(settings: Settings) -> MlflowTracker:
    """Return the tracker of the tracking server that the settings name, or of the home folder's own registry.

    Raises:
        RegistryError: MLflow is not installed, or the home folder cannot hold a registry.
    """
    if settings.tracking_uri:
        return MlflowTracker(settings.tracking_uri)
    folder = settings.home.absolute() / "registry"
    return MlflowTracker(sqlite_uri(folder / "mlflow.db"), folder / "artifacts")


class MlflowTracker:
    """Records into MLflow: an experiment per service, a parent run per training, a child run per candidate.

    Args:
        tracking_uri: `sqlite:///…` or a tracking server's URL.
        artifact_root: the folder for the embedded registry's artifacts; None: the server's own place.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None = None) -> None:
        self._artifact_root = artifact_root
        self._location = show_location(tracking_uri)
        self._client: Any = open_client(tracking_uri)

    @property
    def wants_figures(self) -> bool:
        """Yes: plots are kept as artifacts."""
        return True

    def start(self, service: str, record: RunRecord) -> str | None:
        """Open the parent run of a training."""
        with translated("record the training", self._location):
            experiment = find_experiment(self._client, service, self._artifact_root)
            return self._create(experiment, f"train {service}", record, {})

    def add_candidate(self, parent: str | None, name: str, record: RunRecord) -> str | None:
        """Record a candidate's finished run below its parent."""
        if parent is None:
            return None
        with translated("record the candidate", self._location):
            experiment = str(self._client.get_run(parent).info.experiment_id)
            run_id = self._create(experiment, name, record, {"mlflow.parentRunId": parent})
            self._client.set_terminated(run_id, "FINISHED")
            return run_id

    def finish(self, parent: str | None, record: RunRecord, *, succeeded: bool) -> None:
        """Add what came of the training to its parent run, and close it."""
        if parent is None:
            return
        with translated("record the training's end", self._location):
            self._log(parent, record)
            for key, value in record.tags.items():
                self._client.set_tag(parent, key, value[:LONGEST_TAG])
            self._client.set_terminated(parent, "FINISHED" if succeeded else "FAILED")

    def _create(self, experiment: str, name: str, record: RunRecord, more_tags: dict[str, str]) -> str:
        tags = {key: value[:LONGEST_TAG] for key, value in record.tags.items()} | more_tags
        run_id = str(self._client.create_run(experiment, tags=tags, run_name=name).info.run_id)
        self._log(run_id, record)
        return run_id

    def _log(self, run_id: str, record: RunRecord) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in record.metrics.items()]
        params = [Param(name, value[:LONGEST_PARAMETER]) for name, value in record.params.items()]
        if metrics or params:
            self._client.log_batch(run_id, metrics=metrics, params=params)
        if not record.artifacts:
            return
        with tempfile.TemporaryDirectory(prefix="rookery-artifacts-") as folder:
            for name, data in record.artifacts.items():
                path = Path(folder).joinpath(*PurePosixPath(name).parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._client.log_artifacts(run_id, folder)

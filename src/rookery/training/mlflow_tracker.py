"""`MlflowTracker`: trainings as MLflow runs, on any tracking server or in the embedded SQLite file.

Everything goes through one client object; MLflow's process-wide active run and tracking URI stay untouched.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from rookery.errors import RegistryUnavailable
from rookery.training.tracker import RunRecord

T = TypeVar("T")

EXPERIMENT_PREFIX = "rookery/"
LONGEST_VALUE = 6_000
"""MLflow's limit for a parameter's text."""
LONGEST_TAG = 5_000


class MlflowTracker:
    """Records into MLflow: an experiment per service, a parent run per training, a child run per candidate.

    Args:
        tracking_uri: `sqlite:///…` or a tracking server's URL.
        artifact_location: a folder or URI for the artifacts of experiments made here; None: the server's own.
    """

    def __init__(self, tracking_uri: str, artifact_location: str | None = None) -> None:
        from mlflow.tracking import MlflowClient

        self._artifact_location = artifact_location
        self._client = self._ask(lambda: MlflowClient(tracking_uri=tracking_uri))

    @property
    def wants_figures(self) -> bool:
        """Yes: plots are kept as artifacts."""
        return True

    def start(self, service: str, record: RunRecord) -> str | None:
        """Open the parent run of a training."""
        return self._open(service, f"train {service}", record, parent=None)

    def add_candidate(self, parent: str | None, name: str, record: RunRecord) -> str | None:
        """Record a candidate's finished run below its parent."""
        if parent is None:
            return None
        experiment = self._ask(lambda: self._client.get_run(parent)).info.experiment_id
        run_id = self._create(experiment, name, record, parent=parent)
        self._close(run_id, succeeded=True)
        return run_id

    def finish(self, parent: str | None, record: RunRecord, *, succeeded: bool) -> None:
        """Add what came of the training to its parent run, and close it."""
        if parent is not None:
            self._log(parent, record)
            for key, value in record.tags.items():
                self._ask(lambda key=key, value=value: self._client.set_tag(parent, key, value[:LONGEST_TAG]))
            self._close(parent, succeeded=succeeded)

    def _open(self, service: str, name: str, record: RunRecord, *, parent: str | None) -> str:
        return self._create(self._experiment(service), name, record, parent=parent)

    def _experiment(self, service: str) -> str:
        name = EXPERIMENT_PREFIX + service
        found = self._ask(lambda: self._client.get_experiment_by_name(name))
        if found is None:
            return self._create_experiment(name)
        if found.lifecycle_stage == "deleted":
            self._ask(lambda: self._client.restore_experiment(found.experiment_id))
        return str(found.experiment_id)

    def _create_experiment(self, name: str) -> str:
        location = f"{self._artifact_location}/{name}" if self._artifact_location else None
        try:
            return str(self._client.create_experiment(name, artifact_location=location))
        except Exception as error:
            # Another training of the same service was first: its experiment is ours too.
            found = self._ask(lambda: self._client.get_experiment_by_name(name))
            if found is None:
                raise _unavailable(error) from error
            return str(found.experiment_id)

    def _create(self, experiment: str, name: str, record: RunRecord, *, parent: str | None) -> str:
        tags = {key: value[:LONGEST_TAG] for key, value in record.tags.items()}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        run = self._ask(lambda: self._client.create_run(experiment, tags=tags, run_name=name))
        self._log(run.info.run_id, record)
        return str(run.info.run_id)

    def _log(self, run_id: str, record: RunRecord) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in record.metrics.items()]
        params = [Param(name, value[:LONGEST_VALUE]) for name, value in record.params.items()]
        if metrics or params:
            self._ask(lambda: self._client.log_batch(run_id, metrics=metrics, params=params))
        if record.artifacts:
            self._log_artifacts(run_id, record)

    def _log_artifacts(self, run_id: str, record: RunRecord) -> None:
        with tempfile.TemporaryDirectory(prefix="rookery-artifacts-") as folder:
            for name, data in record.artifacts.items():
                path = Path(folder).joinpath(*PurePosixPath(name).parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self._ask(lambda: self._client.log_artifacts(run_id, folder))

    def _close(self, run_id: str, *, succeeded: bool) -> None:
        self._ask(lambda: self._client.set_terminated(run_id, "FINISHED" if succeeded else "FAILED"))

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Ask MLflow; its own, the database's and the network's exceptions become one of ours."""
        try:
            return question()
        except Exception as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> RegistryUnavailable:
    first = (str(error).splitlines() or [""])[0]
    return RegistryUnavailable(
        f"the training's run cannot be recorded in MLflow: {type(error).__name__}: {first[:300]}",
        cure="Check the tracking URI, and that its server answers",
    )

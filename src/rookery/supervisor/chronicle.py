"""`Chronicle`: the supervisor's own log lines and metrics; its libraries are loaded when they are first needed."""

from __future__ import annotations

import os
import platform
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rookery.settings import Settings

if TYPE_CHECKING:
    from rookery.supervisor.crew import Crew
    from rookery.telemetry.accumulator import WorkerMetrics
    from rookery.telemetry.logs import Log


class Chronicle:
    """Writes down what happens to the workers of one server."""

    def __init__(self, settings: Settings, metrics_folder: Path) -> None:
        self._settings = settings
        self._folder = metrics_folder
        self._counted: dict[str, int] = {}

    def tell(self, level: str, message: str, **fields: Any) -> None:
        """Write a log line."""
        self._log.write(level, message, **fields)

    def retire(self, source: str) -> None:
        """Keep the counts of a worker that is gone."""
        from rookery.telemetry.snapshots import retire_snapshot

        retire_snapshot(self._folder, source)

    def write_metrics(self, crew: Crew) -> None:
        """Write the supervisor's snapshot beside those of its workers."""
        from rookery.telemetry.metrics import WORKER_RESTARTS, WORKERS_UP
        from rookery.telemetry.snapshots import write_snapshot

        for reason, count in crew.restarts.items():
            self._metrics.count(WORKER_RESTARTS, reason, by=count - self._counted.get(reason, 0))
            self._counted[reason] = count
        self._metrics.set_gauge(WORKERS_UP, value=crew.ready)
        write_snapshot(self._folder, self._metrics.snapshot())

    @cached_property
    def _log(self) -> Log:
        from rookery.telemetry.logs import Log, open_sinks

        settings = self._settings
        sinks = open_sinks(settings.log_file, megabytes=settings.log_file_mb, count=settings.log_file_count)
        return Log(sinks, level=settings.log_level, process="supervisor")

    @cached_property
    def _metrics(self) -> WorkerMetrics:
        from importlib.metadata import version

        from rookery.telemetry.accumulator import WorkerMetrics
        from rookery.telemetry.metrics import INFO

        metrics = WorkerMetrics(f"supervisor-{os.getpid()}")
        metrics.set_gauge(INFO, version("rookery"), platform.python_version(), value=1)
        return metrics

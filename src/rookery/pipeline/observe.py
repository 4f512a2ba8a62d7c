"""`observe`: what the answered calls add to the metrics, once a pass."""

from __future__ import annotations

import time

from rookery.pipeline.call import Call
from rookery.pipeline.endpoint import Endpoint
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.logs import PredictionLog


class Observe:
    """Add the calls of a pass to the worker's metrics and to the sampled prediction log lines."""

    def __init__(self, endpoint: Endpoint, metrics: WorkerMetrics, log: PredictionLog | None) -> None:
        self._name = endpoint.contract.name
        self._metrics = metrics
        self._log = log

    def __call__(self, calls: list[Call]) -> None:
        now = time.perf_counter()
        durations: dict[tuple[str, int], list[float]] = {}

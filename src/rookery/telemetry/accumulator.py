"""Metrics accumulated in plain Python objects: no library call, no lock and no label look-up per request.

All of it is used from one thread, the worker's event loop. Once a second the worker writes a snapshot
(`snapshots.py`); whichever worker is asked for `/metrics` adds up the snapshots of all.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

import msgspec

from rookery.telemetry.metrics import (
    BATCH_ROWS,
    CPU_PERCENT,
    ERRORS,
    MEMORY_MB,
    METRICS,
    PREDICTION_DURATION,
    PREDICTIONS,
    REQUEST_DURATION,
    REQUEST_RATE,
    REQUESTS,
    ROWS,
    SECONDS,
    Metric,
)
from rookery.telemetry.process import resident_memory_mb

Labels = tuple[str, ...]


class HistogramValue(msgspec.Struct, array_like=True):
    """One histogram: observations per bucket (the last has no upper bound), and their sum."""

    counts: list[int]
    total: float


class Snapshot(msgspec.Struct):
    """Everything one process has counted so far, as written to its file."""

    source: str
    """The worker's id, unique for each of its lives."""
    pid: int
    written_at: float
    """Seconds since the epoch."""
    counters: list[tuple[str, Labels, float]] = []
    histograms: list[tuple[str, Labels, HistogramValue]] = []
    gauges: list[tuple[str, Labels, float]] = []


class SeriesHandle:
    """The counts of one service and version; obtained once from `WorkerMetrics.series` and kept.

    `version` is empty for requests that no version answered: refused ones, `/health`, unknown paths.
    """

    __slots__ = (
        "_batch_counts",
        "_batch_rows",
        "_request_counts",
        "_request_seconds",
        "_rows",
        "_run_counts",
        "_run_seconds",
        "_statuses",
        "service",
        "version",
    )

    def __init__(self, service: str, version: str) -> None:
        self.service = service
        self.version = version
        self._statuses: dict[int, int] = {}
        self._rows = 0
        self._request_counts = [0] * (len(SECONDS) + 1)
        self._request_seconds = 0.0
        self._run_counts = [0] * (len(SECONDS) + 1)
        self._run_seconds = 0.0
        self._batch_counts = [0] * (len(ROWS) + 1)
        self._batch_rows = 0

    def observe(self, status: int, seconds: float, rows: int = 0) -> None:
        """Count one answered request: its HTTP status, how long it took, and how many rows it got predicted."""
        statuses = self._statuses
        statuses[status] = statuses.get(status, 0) + 1
        self._request_counts[bisect_left(SECONDS, seconds)] += 1
        self._request_seconds += seconds
        self._rows += rows

    def observe_many(self, status: int, seconds: Sequence[float], rows: int = 0) -> None:
        """Count the requests of one pass that share a status; `rows` is the sum of their predicted rows."""
        statuses = self._statuses
        statuses[status] = statuses.get(status, 0) + len(seconds)
        counts, bounds, find = self._request_counts, SECONDS, bisect_left
        for duration in seconds:
            counts[find(bounds, duration)] += 1
        self._request_seconds += sum(seconds)
        self._rows += rows

    def observe_run(self, seconds: float, calls: int) -> None:
        """Count the requests that took part in one run of the model, which took so many `seconds`."""
        self._run_counts[bisect_left(SECONDS, seconds)] += calls
        self._run_seconds += seconds * calls

    def observe_batch(self, rows: int) -> None:
        """Count one run of the model by the rows that were in it."""
        self._batch_counts[bisect_left(ROWS, rows)] += 1
        self._batch_rows += rows

    @property
    def requests(self) -> int:
        """Requests counted so far."""
        return sum(self._statuses.values())

    def counters(self) -> Iterator[tuple[str, Labels, float]]:
        """Yield the counters as (metric, label values, value)."""
        for status, count in self._statuses.items():
            yield REQUESTS.name, (self.service, self.version, str(status)), count
            if status >= 400:
                yield ERRORS.name, (self.service, "5xx" if status >= 500 else "4xx"), count
        if self._rows:
            yield PREDICTIONS.name, (self.service, self.version), self._rows

    def histograms(self) -> Iterator[tuple[str, Labels, HistogramValue]]:
        """Yield the histograms that hold anything as (metric, label values, value)."""
        labels = (self.service, self.version)
        if any(self._request_counts):
            yield REQUEST_DURATION.name, labels, HistogramValue(list(self._request_counts), self._request_seconds)
        if any(self._run_counts):
            yield PREDICTION_DURATION.name, labels, HistogramValue(list(self._run_counts), self._run_seconds)
        if self._batch_rows:
            yield BATCH_ROWS.name, labels, HistogramValue(list(self._batch_counts), self._batch_rows)


class WorkerMetrics:
    """All that one process counts.

    `source` names this life of the process (unique), `worker` its place among the workers (a label; empty for a
    process whose own CPU and memory are not shown).
    """

    def __init__(self, source: str, *, worker: str = "") -> None:
        self._source = source
        self._worker = worker
        self._series: dict[tuple[str, str], SeriesHandle] = {}
        self._counters: dict[tuple[str, Labels], float] = {}
        self._gauges: dict[tuple[str, Labels], float] = {}
        self._watched: dict[tuple[str, Labels], Callable[[], float]] = {}
        self._watched_counters: dict[tuple[str, Labels], Callable[[], float]] = {}
        self._last_requests: dict[tuple[str, str], int] = {}
        self._last_clock = time.perf_counter()
        self._last_cpu = time.process_time()
        self._rates: list[tuple[str, Labels, float]] = []

    def series(self, service: str, version: str) -> SeriesHandle:
        """Return the handle of a service and version; always the same one."""
        key = (service, version)
        if key not in self._series:
            self._series[key] = SeriesHandle(service, version)
        return self._series[key]

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add to a counter; for rare events, requests go through `series`."""
        key = self._key(metric, "counter", labels)
        self._counters[key] = self._counters.get(key, 0) + by

    def watch_counter(self, metric: Metric, *labels: str, read: Callable[[], float]) -> None:
        """Let a counter be read, by calling `read`, whenever a snapshot is taken.

        What a former reader of the same counter last said is kept, so that the counter does not fall when a new one
        begins at zero.
        """
        key = self._key(metric, "counter", labels)
        former = self._watched_counters.get(key)
        if former is not None:
            self._counters[key] = self._counters.get(key, 0) + former()
        self._watched_counters[key] = read

    def set_gauge(self, metric: Metric, *labels: str, value: float) -> None:
        """Set a gauge."""
        self._gauges[self._key(metric, "gauge", labels)] = value

    def watch_gauge(self, metric: Metric, *labels: str, read: Callable[[], float]) -> None:
        """Let a gauge be read, by calling `read`, whenever a snapshot is taken."""
        self._watched[self._key(metric, "gauge", labels)] = read

    def drop_gauge(self, metric: Metric, *labels: str) -> None:
        """Stop showing a gauge, for example of a version that was unloaded."""
        key = self._key(metric, "gauge", labels)
        self._gauges.pop(key, None)
        self._watched.pop(key, None)

    def snapshot(self) -> Snapshot:
        """Return everything counted so far, as the snapshot file holds it."""
        self._measure()
        merged = dict(self._counters)
        for key, read_counter in self._watched_counters.items():
            merged[key] = merged.get(key, 0) + read_counter()
        for series in self._series.values():
            for name, labels, value in series.counters():
                merged[name, labels] = merged.get((name, labels), 0) + value
        watched = [(name, labels, float(read())) for (name, labels), read in self._watched.items()]
        return Snapshot(
            source=self._source,
            pid=os.getpid(),
            written_at=time.time(),
            counters=[(name, labels, value) for (name, labels), value in merged.items()],
            histograms=[entry for series in self._series.values() for entry in series.histograms()],
            gauges=[(name, labels, value) for (name, labels), value in self._gauges.items()] + watched + self._rates,
        )

    def _measure(self) -> None:
        """Measure rates and resources, at most about once a second: shorter spans say nothing."""
        clock = time.perf_counter()
        elapsed = clock - self._last_clock
        if elapsed < 0.5 and self._rates:
            return
        elapsed = max(elapsed, 1e-3)
        cpu = time.process_time()
        rates: list[tuple[str, Labels, float]] = []
        for key, series in self._series.items():
            requests = series.requests
            rates.append((REQUEST_RATE.name, key, (requests - self._last_requests.get(key, 0)) / elapsed))
            self._last_requests[key] = requests
        if self._worker:
            rates.append((CPU_PERCENT.name, (self._worker,), 100 * (cpu - self._last_cpu) / elapsed))
            rates.append((MEMORY_MB.name, (self._worker,), resident_memory_mb()))
        self._last_clock, self._last_cpu, self._rates = clock, cpu, rates

    @staticmethod
    def _key(metric: Metric, kind: str, labels: Labels) -> tuple[str, Labels]:
        if METRICS.get(metric.name) is not metric or metric.kind != kind or len(labels) != len(metric.labels):
            raise ValueError(f"{metric.name} is no {kind} with the labels {labels} in the table of metrics")
        return metric.name, labels

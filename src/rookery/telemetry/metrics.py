"""Every metric in one table: name, kind, help, labels, buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency buckets, in seconds; a last bucket has none."""

ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Upper bounds of the buckets of rows in one run of a model; a last bucket has none."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as `/metrics` shows it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Literal["sum", "max", "min"] = "sum"
    """How a gauge's values from several workers become one; counters and histograms are always added up."""


REQUESTS = Metric(
    "rookery_requests_total", "counter", "Requests answered, by HTTP status", ("service", "version", "status")
)
REQUEST_DURATION = Metric(
    "rookery_request_duration_seconds",
    "histogram",
    "Time from the complete request to its answer",
    ("service", "version"),
    SECONDS,
)
PREDICTIONS = Metric("rookery_predictions_total", "counter", "Rows predicted and answered", ("service", "version"))
PREDICTION_DURATION = Metric(
    "rookery_prediction_duration_seconds",
    "histogram",
    "Time of the model run that a request took part in",
    ("service", "version"),
    SECONDS,
)
BATCH_ROWS = Metric(
    "rookery_batch_rows", "histogram", "Rows that one run of the model predicted together", ("service", "version"), ROWS
)
BATCH_WAITING = Metric("rookery_batch_waiting", "gauge", "Requests that wait for a run of the model", ("service",))
ERRORS = Metric("rookery_errors_total", "counter", "Requests refused (4xx) or failed (5xx)", ("service", "class"))
REQUEST_RATE = Metric(
    "rookery_requests_per_second", "gauge", "Requests answered in the last second", ("service", "version")
)
IN_FLIGHT = Metric("rookery_in_flight", "gauge", "Requests received and not answered yet", ("service",))
MODEL_LOADED = Metric(
    "rookery_model_loaded",
    "gauge",
    "1 if every worker has loaded the version, else 0",
    ("service", "version"),
    merge="min",
)
CACHE_REQUESTS = Metric(
    "rookery_cache_requests_total",
    "counter",
    "Cacheable requests: hit (in the worker's memory), redis, shared (joined a running computation) or miss",
    ("service", "result"),
)
CACHE_ERRORS = Metric(
    "rookery_cache_errors_total", "counter", "Calls of Redis that failed or brought rubbish, all misses", ("service",)
)
CACHE_EVICTIONS = Metric(
    "rookery_cache_evictions_total", "counter", "Cached answers that left a worker's memory for room", ("service",)
)
CACHE_BYTES = Metric("rookery_cache_bytes", "gauge", "Memory of the cached answers, in bytes", ("service",))
CACHE_UP = Metric(
    "rookery_cache_up", "gauge", "1 if every worker uses Redis, 0 if one leaves it alone after failures", merge="min"
)
CPU_PERCENT = Metric(
    "rookery_cpu_percent",
    "gauge",
    "CPU time of a worker in the last second, in percent of a core",
    ("worker",),
    merge="max",
)
MEMORY_MB = Metric(
    "rookery_memory_mb", "gauge", "Resident memory of a worker, in megabytes (10^6 bytes)", ("worker",), merge="max"
)
LOG_LINES_DROPPED = Metric(
    "rookery_log_lines_dropped_total", "counter", "Request lines left out of the log by sampling"
)
WORKERS_UP = Metric("rookery_workers_up", "gauge", "Workers that are ready")
WORKER_RESTARTS = Metric("rookery_worker_restarts_total", "counter", "Workers replaced, by reason", ("reason",))
INFO = Metric("rookery_info", "gauge", "Always 1; the labels say what runs", ("version", "python"), merge="max")

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        REQUESTS,
        REQUEST_DURATION,
        PREDICTIONS,
        PREDICTION_DURATION,
        BATCH_ROWS,
        BATCH_WAITING,
        ERRORS,
        REQUEST_RATE,
        IN_FLIGHT,
        MODEL_LOADED,
        CACHE_REQUESTS,
        CACHE_ERRORS,
        CACHE_EVICTIONS,
        CACHE_BYTES,
        CACHE_UP,
        CPU_PERCENT,
        MEMORY_MB,
        LOG_LINES_DROPPED,
        WORKERS_UP,
        WORKER_RESTARTS,
        INFO,
    )
}
"""Every metric by name, in the order of `/metrics`."""

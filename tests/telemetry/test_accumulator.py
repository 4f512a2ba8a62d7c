from __future__ import annotations

import msgspec
import pytest

from rookery.telemetry.accumulator import HistogramValue, SeriesHandle, Snapshot, WorkerMetrics
from rookery.telemetry.metrics import (
    BATCH_ROWS,
    CACHE_ERRORS,
    ERRORS,
    IN_FLIGHT,
    METRICS,
    MODEL_LOADED,
    PREDICTION_DURATION,
    PREDICTIONS,
    REQUEST_DURATION,
    REQUESTS,
    ROWS,
    SECONDS,
    WORKER_RESTARTS,
    Metric,
)


def _counters(snapshot: Snapshot) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(name, labels): value for name, labels, value in snapshot.counters}


def _histograms(snapshot: Snapshot) -> dict[tuple[str, tuple[str, ...]], HistogramValue]:
    return {(name, labels): value for name, labels, value in snapshot.histograms}


def test_a_pass_counts_as_its_requests_would_one_by_one() -> None:
    durations = [0.00005, 0.0001, 0.00011, 0.3, 99.0]
    together, single = SeriesHandle("s", "1"), SeriesHandle("s", "1")
    together.observe_many(200, durations, rows=7)
    for seconds, rows in zip(durations, [1, 1, 1, 1, 3], strict=True):
        single.observe(200, seconds, rows)
    assert list(together.counters()) == list(single.counters())
    ours, theirs = next(iter(together.histograms()))[2], next(iter(single.histograms()))[2]
    assert ours.counts == theirs.counts
    assert ours.total == pytest.approx(theirs.total)


def test_a_duration_on_a_bound_belongs_to_the_bucket_below_it() -> None:
    series = SeriesHandle("s", "1")
    series.observe(200, SECONDS[3])
    (_, _, histogram) = next(iter(series.histograms()))
    assert histogram.counts[3] == 1
    series.observe(200, SECONDS[-1] + 1)
    (_, _, histogram) = next(iter(series.histograms()))
    assert histogram.counts[-1] == 1


def test_errors_are_counted_by_class_over_all_versions_of_a_service() -> None:
    metrics = WorkerMetrics("w")
    metrics.series("s", "1").observe(422, 0.1)
    metrics.series("s", "").observe(404, 0.1)
    metrics.series("s", "1").observe_many(503, [0.1, 0.1])
    metrics.series("s", "1").observe(200, 0.1, rows=1)
    counters = _counters(metrics.snapshot())
    assert counters[ERRORS.name, ("s", "4xx")] == 2
    assert counters[ERRORS.name, ("s", "5xx")] == 2
    assert counters[REQUESTS.name, ("s", "1", "503")] == 2
    assert counters[PREDICTIONS.name, ("s", "1")] == 1


def test_a_run_of_the_model_counts_once_for_every_call_in_it() -> None:
    metrics = WorkerMetrics("w")
    metrics.series("s", "1").observe_run(0.002, calls=4)
    histogram = _histograms(metrics.snapshot())[PREDICTION_DURATION.name, ("s", "1")]
    assert sum(histogram.counts) == 4
    assert histogram.total == pytest.approx(0.008)
    assert (REQUEST_DURATION.name, ("s", "1")) not in _histograms(metrics.snapshot())


def test_a_run_counts_its_rows_once_however_many_calls_share_them() -> None:
    metrics = WorkerMetrics("w")
    series = metrics.series("s", "1")
    for rows in (1, 2, 3, ROWS[-1], ROWS[-1] + 1):
        series.observe_run(0.002, calls=2)
        series.observe_batch(rows)
    series.observe_run(0.002, calls=2)
    histogram = _histograms(metrics.snapshot())[BATCH_ROWS.name, ("s", "1")]
    assert histogram.counts == [1, 1, 1, 0, 0, 0, 0, 1, 1]
    assert histogram.total == 6 + 2 * ROWS[-1] + 1


def test_counters_are_read_when_asked_for_and_added_to_what_was_counted() -> None:
    metrics, errors = WorkerMetrics("w"), [3]
    metrics.count(CACHE_ERRORS, "s")
    metrics.watch_counter(CACHE_ERRORS, "s", read=lambda: errors[0])
    metrics.watch_counter(CACHE_ERRORS, "other", read=lambda: 7)
    errors[0] = 5
    for _ in range(2):
        counters = _counters(metrics.snapshot())
        assert counters[CACHE_ERRORS.name, ("s",)] == 6
        assert counters[CACHE_ERRORS.name, ("other",)] == 7


def test_a_counter_does_not_fall_when_another_reader_begins_at_zero() -> None:
    metrics = WorkerMetrics("w")
    for count in (5, 2, 0):
        metrics.watch_counter(CACHE_ERRORS, "s", read=lambda count=count: count)  # type: ignore[misc]
    assert _counters(metrics.snapshot())[CACHE_ERRORS.name, ("s",)] == 7


def test_a_series_is_always_the_same_one() -> None:
    metrics = WorkerMetrics("w")
    assert metrics.series("s", "1") is metrics.series("s", "1")
    assert metrics.series("s", "1") is not metrics.series("s", "2")


def test_gauges_are_set_read_when_asked_for_and_dropped() -> None:
    metrics, in_flight = WorkerMetrics("w"), [3.0]
    metrics.set_gauge(MODEL_LOADED, "s", "1", value=1)
    metrics.watch_gauge(IN_FLIGHT, "s", read=lambda: in_flight[0])
    in_flight[0] = 5.0
    gauges = {(name, labels): value for name, labels, value in metrics.snapshot().gauges}
    assert gauges[MODEL_LOADED.name, ("s", "1")] == 1
    assert gauges[IN_FLIGHT.name, ("s",)] == 5
    metrics.drop_gauge(MODEL_LOADED, "s", "1")
    assert MODEL_LOADED.name not in {name for name, _, _ in metrics.snapshot().gauges}


def test_a_worker_tells_its_memory_and_cpu_by_its_place() -> None:
    gauges = {name: (labels, value) for name, labels, value in WorkerMetrics("w-0-17", worker="0").snapshot().gauges}
    assert gauges["rookery_memory_mb"][0] == ("0",)
    assert 5 < gauges["rookery_memory_mb"][1] < 10_000
    assert gauges["rookery_cpu_percent"][1] >= 0
    assert "rookery_memory_mb" not in {name for name, _, _ in WorkerMetrics("other").snapshot().gauges}


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        (IN_FLIGHT, ("reason",)),
        (WORKER_RESTARTS, ()),
        (Metric("rookery_invented_total", "counter", "Not in the table"), ()),
    ],
)
def test_what_is_not_in_the_table_cannot_be_counted(metric: Metric, labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="in the table of metrics"):
        WorkerMetrics("w").count(metric, *labels)


def test_a_snapshot_survives_its_file_format() -> None:
    metrics = WorkerMetrics("w", worker="1")
    metrics.series("s", "1").observe(200, 0.01, rows=1)
    metrics.count(WORKER_RESTARTS, "crash")
    snapshot = metrics.snapshot()
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


def test_every_metric_follows_the_naming_rules_of_prometheus() -> None:
    for metric in METRICS.values():
        assert metric.name.startswith("rookery_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(set(metric.buckets))

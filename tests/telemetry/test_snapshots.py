from __future__ import annotations

import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.exposition import CONTENT_TYPE, render, render_all
from rookery.telemetry.metrics import (
    BATCH_WAITING,
    CACHE_BYTES,
    CACHE_REQUESTS,
    CACHE_UP,
    IN_FLIGHT,
    METRICS,
    MODEL_LOADED,
    REQUESTS,
    WORKER_RESTARTS,
)
from rookery.telemetry.snapshots import (
    REMEMBERED_SOURCES,
    STALE_SECONDS,
    Retired,
    Totals,
    merge,
    read_snapshots,
    retire_snapshot,
    write_snapshot,
)


def _worker(source: str, requests: int, *, loaded: float = 1, in_flight: float = 2) -> WorkerMetrics:
    metrics = WorkerMetrics(source, worker=source[-1])
    metrics.series("s", "1").observe_many(200, [0.01] * requests, rows=requests)
    metrics.set_gauge(MODEL_LOADED, "s", "1", value=loaded)
    metrics.set_gauge(IN_FLIGHT, "s", value=in_flight)
    return metrics


def _samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def _requests(folder: Path) -> float:
    return merge(*read_snapshots(folder)).counters.get((REQUESTS.name, ("s", "1", "200")), 0)


def test_counters_of_all_workers_are_added_and_gauges_merged_by_their_rule(tmp_path: Path) -> None:
    write_snapshot(tmp_path, _worker("w0", 3, loaded=1).snapshot())
    write_snapshot(tmp_path, _worker("w1", 4, loaded=0).snapshot())
    totals = merge(*read_snapshots(tmp_path))
    assert totals.counters[REQUESTS.name, ("s", "1", "200")] == 7
    assert totals.gauges[IN_FLIGHT.name, ("s",)] == 4
    assert totals.gauges[MODEL_LOADED.name, ("s", "1")] == 0
    assert {labels for name, labels in totals.gauges if name == "rookery_memory_mb"} == {("0",), ("1",)}


def test_what_a_dead_worker_counted_is_kept_and_its_gauges_go(tmp_path: Path) -> None:
    write_snapshot(tmp_path, _worker("w0", 3).snapshot())
    write_snapshot(tmp_path, _worker("w1", 4).snapshot())
    retire_snapshot(tmp_path, "w1")
    assert [path.name for path in sorted(tmp_path.glob("w*"))] == ["w0.json"]
    totals = merge(*read_snapshots(tmp_path))
    assert totals.counters[REQUESTS.name, ("s", "1", "200")] == 7
    assert totals.gauges[IN_FLIGHT.name, ("s",)] == 2
    assert sum(totals.histograms["rookery_request_duration_seconds", ("s", "1")].counts) == 7


def test_a_worker_in_both_places_is_counted_once(tmp_path: Path) -> None:
    """Between writing `retired.json` and removing the file a reader sees both."""
    snapshot = _worker("w0", 3).snapshot()
    write_snapshot(tmp_path, snapshot)
    retire_snapshot(tmp_path, "w0")
    write_snapshot(tmp_path, snapshot)
    assert _requests(tmp_path) == 3


def test_many_deaths_leave_two_files_and_no_count_lost(tmp_path: Path) -> None:
    deaths = REMEMBERED_SOURCES + 20
    for number in range(deaths):
        write_snapshot(tmp_path, _worker(f"w{number}", 1).snapshot())
        retire_snapshot(tmp_path, f"w{number}")
    assert [path.name for path in tmp_path.iterdir()] == ["retired.json"]
    assert _requests(tmp_path) == deaths


def test_a_worker_that_never_wrote_and_a_damaged_file_harm_nothing(tmp_path: Path) -> None:
    retire_snapshot(tmp_path, "never")
    (tmp_path / "broken.json").write_text('{"source": ')
    write_snapshot(tmp_path, _worker("w0", 3).snapshot())
    assert _requests(tmp_path) == 3


def test_gauges_of_a_silent_worker_are_not_shown_but_its_counts_are() -> None:
    snapshot = _worker("w0", 3).snapshot()
    totals = merge([snapshot], Retired(), now=time.time() + STALE_SECONDS + 1)
    assert totals.gauges == {}
    assert totals.counters[REQUESTS.name, ("s", "1", "200")] == 3


def test_the_asked_worker_shows_its_own_counts_as_they_are_now(tmp_path: Path) -> None:
    own = _worker("w0", 3)
    write_snapshot(tmp_path, own.snapshot())
    write_snapshot(tmp_path, _worker("w1", 4).snapshot())
    own.series("s", "1").observe(200, 0.01)
    labels = (("service", "s"), ("status", "200"), ("version", "1"))
    assert _samples(render_all(own, tmp_path))["rookery_requests_total", labels] == 8
    assert _samples(render_all(own, None))["rookery_requests_total", labels] == 4


def test_the_text_is_what_a_prometheus_parser_reads_with_cumulative_buckets() -> None:
    metrics = _worker("w0", 0)
    metrics.series("s", "1").observe_many(200, [0.00005, 0.02, 0.02, 60.0])
    metrics.count(WORKER_RESTARTS, "crash", by=2)
    samples = _samples(render_all(metrics, None))
    labels = (("service", "s"), ("version", "1"))
    bucket = "rookery_request_duration_seconds_bucket"
    assert samples[bucket, (("le", "0.0001"), *labels)] == 1
    assert samples[bucket, (("le", "0.025"), *labels)] == 3
    assert samples[bucket, (("le", "10.0"), *labels)] == 3
    assert samples[bucket, (("le", "+Inf"), *labels)] == 4
    assert samples["rookery_request_duration_seconds_count", labels] == 4
    assert samples["rookery_request_duration_seconds_sum", labels] == pytest.approx(60.04005)
    assert samples["rookery_worker_restarts_total", (("reason", "crash"),)] == 2


def test_every_metric_of_the_table_is_shown_with_its_help_and_type_even_before_it_has_a_value() -> None:
    text = render(Totals()).decode()
    for metric in METRICS.values():
        assert f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n" in text
    assert CONTENT_TYPE.startswith("text/plain")


def test_label_values_of_any_text_and_special_numbers_come_back_from_the_parser() -> None:
    evil = 'a"b\\c\nd{e="f"} 1\u2028é'
    totals = Totals(
        counters={(REQUESTS.name, (evil, "\\n", "200")): 1e21},
        gauges={(IN_FLIGHT.name, (evil,)): float("inf"), (IN_FLIGHT.name, ("none",)): float("-inf")},
    )
    samples = _samples(render(totals))
    assert samples[REQUESTS.name, (("service", evil), ("status", "200"), ("version", "\\n"))] == 1e21
    assert samples[IN_FLIGHT.name, (("service", evil),)] == float("inf")
    assert samples[IN_FLIGHT.name, (("service", "none"),)] == float("-inf")


def test_caches_and_batches_of_all_workers_are_added_up_and_one_without_redis_shows(tmp_path: Path) -> None:
    for number in range(3):
        metrics = WorkerMetrics(f"w{number}")
        metrics.watch_counter(CACHE_REQUESTS, "s", "hit", read=lambda: 10)
        metrics.watch_gauge(CACHE_BYTES, "s", read=lambda: 1000)
        metrics.watch_gauge(CACHE_UP, read=lambda down=number == 1: 0 if down else 1)  # type: ignore[misc]
        metrics.watch_gauge(BATCH_WAITING, "s", read=lambda: 4)
        metrics.series("s", "1").observe_run(0.1, calls=3)
        metrics.series("s", "1").observe_batch(3)
        write_snapshot(tmp_path, metrics.snapshot())
    retire_snapshot(tmp_path, "w2")
    samples = _samples(render(merge(*read_snapshots(tmp_path))))
    service = ("service", "s")
    assert samples[CACHE_REQUESTS.name, (("result", "hit"), service)] == 30
    assert samples[CACHE_BYTES.name, (service,)] == 2000
    assert samples[CACHE_UP.name, ()] == 0
    assert samples[BATCH_WAITING.name, (service,)] == 8
    assert samples["rookery_batch_rows_bucket", (("le", "4.0"), service, ("version", "1"))] == 3
    assert samples["rookery_batch_rows_bucket", (("le", "2.0"), service, ("version", "1"))] == 0
    assert samples["rookery_batch_rows_sum", (service, ("version", "1"))] == 9

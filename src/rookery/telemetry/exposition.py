"""`/metrics`: the counts of all processes in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rookery.telemetry.accumulator import HistogramValue, Labels, WorkerMetrics
from rookery.telemetry.metrics import METRICS, Metric
from rookery.telemetry.snapshots import Retired, Totals, merge, read_snapshots

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

V = TypeVar("V")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render_all(metrics: WorkerMetrics, folder: Path | None) -> bytes:
    """Return the metrics of every process of this server, as seen by one of its workers.

    `metrics` are the worker's own, taken as they are now; the others' are up to a second old. Without a `folder`
    (a test client, or Rookery mounted into another application) this process is the only one.
    """
    own = metrics.snapshot()
    snapshots, retired = read_snapshots(folder) if folder is not None else ([], Retired())
    others = [snapshot for snapshot in snapshots if snapshot.source != own.source]
    return render(merge([own, *others], retired))


def render(totals: Totals) -> bytes:
    """Return `totals` in Prometheus' text format, metrics in the order of the table.

    prometheus_client is loaded by the first call: a worker that is never scraped does not pay for it.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class TotalsCollector(Collector):
        def collect(self) -> Iterator[Family]:
            return (_family(metric, totals) for metric in METRICS.values())

    registry = CollectorRegistry(auto_describe=False)
    registry.register(TotalsCollector())
    return generate_latest(registry)


def _family(metric: Metric, totals: Totals) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in _values(metric, totals.histograms):
            histogram.add_metric(labels, _cumulative(metric, value), value.total)
        return histogram
    if metric.kind == "counter":
        counter = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
        for labels, number in _values(metric, totals.counters):
            counter.add_metric(labels, number)
        return counter
    gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, number in _values(metric, totals.gauges):
        gauge.add_metric(labels, number)
    return gauge


def _values(metric: Metric, found: dict[tuple[str, Labels], V]) -> list[tuple[Labels, V]]:
    return sorted(
        ((labels, value) for (name, labels), value in found.items() if name == metric.name), key=lambda e: e[0]
    )


def _cumulative(metric: Metric, value: HistogramValue) -> list[tuple[str, float]]:
    """Return (upper bound, observations up to it), as the text format wants histograms."""
    bounds = [repr(bound) for bound in metric.buckets] + ["+Inf"]
    return list(zip(bounds, accumulate(value.counts), strict=True))

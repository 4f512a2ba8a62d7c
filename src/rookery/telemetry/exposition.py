"""`/metrics`: the counts of all processes in Prometheus' text format, version 0.0.4.

Written here: whoever scrapes a worker every few seconds is the rule, and prometheus_client would cost each worker
a megabyte to join texts. Its parser reads what this writes (tests/telemetry/test_snapshots.py).

Source: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from rookery.telemetry.accumulator import Labels, WorkerMetrics
from rookery.telemetry.metrics import METRICS, Metric
from rookery.telemetry.snapshots import Retired, Totals, merge, read_snapshots

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
    """Return `totals` in Prometheus' text format, metrics in the order of the table."""
    return "".join(f"{line}\n" for metric in METRICS.values() for line in _family(metric, totals)).encode()


def _family(metric: Metric, totals: Totals) -> Iterator[str]:
    yield f"# HELP {metric.name} {_escape(metric.help)}"
    yield f"# TYPE {metric.name} {metric.kind}"
    if metric.kind == "histogram":
        bounds = [*map(_number, metric.buckets), "+Inf"]
        for labels, value in _values(metric, totals.histograms):
            counts = list(accumulate(value.counts))
            for bound, count in zip(bounds, counts, strict=True):
                yield f"{metric.name}_bucket{_labels(metric, labels, le=bound)} {_number(count)}"
            yield f"{metric.name}_count{_labels(metric, labels)} {_number(counts[-1])}"
            yield f"{metric.name}_sum{_labels(metric, labels)} {_number(value.total)}"
    else:
        for labels, number in _values(metric, totals.counters if metric.kind == "counter" else totals.gauges):
            yield f"{metric.name}{_labels(metric, labels)} {_number(number)}"


def _values(metric: Metric, found: dict[tuple[str, Labels], V]) -> list[tuple[Labels, V]]:
    return sorted(
        ((labels, value) for (name, labels), value in found.items() if name == metric.name), key=lambda e: e[0]
    )


def _labels(metric: Metric, values: Labels, **more: str) -> str:
    pairs = [*zip(metric.labels, values, strict=True), *more.items()]
    if not pairs:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value, quotes=True)}"' for name, value in pairs) + "}"


def _escape(text: str, *, quotes: bool = False) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return escaped.replace('"', r"\"") if quotes else escaped


def _number(value: float) -> str:
    """Return a number as Go reads it; Python writes all but the special values the same way."""
    text = repr(float(value))
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)

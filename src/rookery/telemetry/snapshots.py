"""Snapshot files: how the counts of several processes become one answer of `/metrics`.

Every process writes `<folder>/<source>.json` atomically. When one dies, the supervisor adds its counters to
`retired.json` and removes its file, so counters never fall and the folder stays small. `retired.json` names
the sources it holds: a reader that meets the moment in between counts nothing twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from rookery.telemetry.accumulator import HistogramValue, Labels, Snapshot
from rookery.telemetry.metrics import METRICS

RETIRED = "retired.json"
STALE_SECONDS = 15.0
"""Gauges of a snapshot older than this are not shown: its process is stuck or gone."""
REMEMBERED_SOURCES = 200

T = TypeVar("T")


class Retired(msgspec.Struct):
    """The counters of processes that are gone."""

    sources: list[str] = []
    """The last ones that were added; older ones have no file any more."""
    counters: list[tuple[str, Labels, float]] = []
    histograms: list[tuple[str, Labels, HistogramValue]] = []


class Totals(msgspec.Struct):
    """The counts of all processes added up, by metric name and label values."""

    counters: dict[tuple[str, Labels], float] = {}
    histograms: dict[tuple[str, Labels], HistogramValue] = {}
    gauges: dict[tuple[str, Labels], float] = {}


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write a process's snapshot, replacing its former one in one step."""
    _write(folder / f"{snapshot.source}.json", msgspec.json.encode(snapshot))


def read_snapshots(folder: Path) -> tuple[list[Snapshot], Retired]:
    """Read all snapshots of living processes and the retired counts, each process in one of them only."""
    snapshots = []
    for path in sorted(folder.glob("*.json")):
        if path.name != RETIRED:
            snapshot = _read(path, Snapshot)
            if snapshot is not None:
                snapshots.append(snapshot)
    # Read last: a process that was retired while we read is then known to be in both.
    retired = _read(folder / RETIRED, Retired) or Retired()
    return [snapshot for snapshot in snapshots if snapshot.source not in retired.sources], retired


def retire_snapshot(folder: Path, source: str) -> None:
    """Add the counters of a process that is gone to the retired ones, and remove its file."""
    path = folder / f"{source}.json"
    snapshot = _read(path, Snapshot)
    if snapshot is not None:
        retired = _read(folder / RETIRED, Retired) or Retired()
        totals = merge([], retired)
        _add(totals, snapshot.counters, snapshot.histograms)
        merged = Retired(
            sources=[*retired.sources, source][-REMEMBERED_SOURCES:],
            counters=[(name, labels, value) for (name, labels), value in totals.counters.items()],
            histograms=[(name, labels, value) for (name, labels), value in totals.histograms.items()],
        )
        _write(folder / RETIRED, msgspec.json.encode(merged))
    path.unlink(missing_ok=True)


def merge(snapshots: Iterable[Snapshot], retired: Retired, *, now: float | None = None) -> Totals:
    """Add up counters and histograms of all, and gauges of those written less than `STALE_SECONDS` before `now`."""
    now = time.time() if now is None else now
    totals = Totals()
    _add(totals, retired.counters, retired.histograms)
    for snapshot in snapshots:
        _add(totals, snapshot.counters, snapshot.histograms)
        if abs(now - snapshot.written_at) > STALE_SECONDS:
            continue
        for name, labels, value in snapshot.gauges:
            key = (name, labels)
            totals.gauges[key] = _combine(name, totals.gauges[key], value) if key in totals.gauges else value
    return totals


def _add(
    totals: Totals, counters: list[tuple[str, Labels, float]], histograms: list[tuple[str, Labels, HistogramValue]]
) -> None:
    for name, labels, value in counters:
        totals.counters[name, labels] = totals.counters.get((name, labels), 0) + value
    for name, labels, histogram in histograms:
        former = totals.histograms.get((name, labels))
        if former is None:
            totals.histograms[name, labels] = HistogramValue(list(histogram.counts), histogram.total)
        else:
            former.counts = [a + b for a, b in zip(former.counts, histogram.counts, strict=True)]
            former.total += histogram.total


def _combine(name: str, first: float, second: float) -> float:
    how = METRICS[name].merge
    if how == "sum":
        return first + second
    return max(first, second) if how == "max" else min(first, second)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _read(path: Path, kind: type[T]) -> T | None:
    """Read a file; None when it is gone, or is none of ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None

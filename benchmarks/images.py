"""How many photographs a second does a server classify, beside a loop without one and beside a typical endpoint?"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.bare import run_bare
from benchmarks.load import Run, run_load
from benchmarks.pictures import as_form, find_weights, prepare_pictures, read_photograph
from benchmarks.servers import Subject, running, uvicorn_command
from benchmarks.subjects import rookery_home
from benchmarks.table import Table

CONNECTIONS = (16, 64)
OURS = "Rookery"
TYPICAL = "FastAPI + Pillow + onnxruntime"
BARE = "bare loop: decode, fit, run"
SHORTEST_SECONDS = 5.0
"""Tens of answers a second need some seconds for a p99."""

Runs = Mapping[tuple[str, int], list[Run]]


def measure_images(
    home: Path, *, rounds: int = 7, seconds: float = 3.0, say: Callable[[str], None] = print
) -> list[Table]:
    """Measure our server, the bare loop and the typical endpoint in turns, each with all cores."""
    weights = find_weights()
    title = "Photographs of 1 MP through MobileNetV2, all cores"
    if weights is None:
        return [Table(title=title, columns=["skipped"], rows=[], notes=["BENCH_WEIGHTS names no MobileNetV2"])]
    prepare_pictures(home, weights)
    seconds = max(seconds, SHORTEST_SECONDS)
    bare: list[float] = []
    runs: dict[tuple[str, int], list[Run]] = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(running(subject)) for subject in _subjects(home, weights)]
        for server in servers:
            run_load(server.port, server.subject.request, connections=16, seconds=2)
        for number in range(1, rounds + 1):
            bare.append(run_bare("images", home, seconds))
            for connections in CONNECTIONS:
                for server in servers:
                    run = run_load(server.port, server.subject.request, connections=connections, seconds=seconds)
                    runs.setdefault((server.subject.name, connections), []).append(run)
            say(f"images: round {number} of {rounds}")
    return [_tabulate(title, runs, bare)]


def _subjects(home: Path, weights: Path) -> list[Subject]:
    cores = len(os.sched_getaffinity(0))
    request = as_form("file", "photograph.jpg", read_photograph())
    command = [*uvicorn_command("benchmarks.apps.fastapi_images:app"), "--workers", str(cores)]
    typical = Subject(name=TYPICAL, command=command, environment={"BENCH_WEIGHTS": str(weights)}, request=request)
    ours = rookery_home(home, "images", name=OURS, workers=cores, request=request)
    return [replace(ours, request=request), typical]


def _tabulate(title: str, runs: Runs, bare: list[float]) -> Table:
    rows = [[BARE, "", f"{median(bare):.1f}", "1.00×", "", "", "", ""]]
    for (name, connections), found in runs.items():
        typical = runs[TYPICAL, connections]
        rows.append(
            [
                name,
                str(connections),
                f"{median(run.rate for run in found):.1f}",
                f"{_ratio([run.rate for run in found], bare):.2f}×",
                f"{_ratio([run.rate for run in found], [run.rate for run in typical]):.2f}×",
                f"{median(run.p50 for run in found) / 1e3:,.0f}",
                f"{median(run.p99 for run in found) / 1e3:,.0f}",
                f"{median(run.p99 / run.p50 for run in found):.1f}",
            ]
        )
    return Table(
        title=title,
        columns=["what", "connections", "req/s", "÷ bare loop", "÷ FastAPI's", "p50 ms", "p99 ms", "p99 ÷ p50"],
        rows=rows,
        notes=[
            f"Medians of {len(bare)} interleaved rounds; ratios are taken within a round, then their median",
            "Bars: 0.9 of the bare loop; 1.2 of FastAPI's at 16 connections; p99 at most 3 × p50",
            "The bare loop has no load generator beside it, the servers share the cores with theirs",
        ],
    )


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(one / other for one, other in zip(ours, theirs, strict=True))

"""How many photographs a second does a server classify, beside a loop without one and beside a typical endpoint?"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.bare import BareRun, run_bare
from benchmarks.load import run_load
from benchmarks.measured import Measured, measure, middle_ratio
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

Runs = Mapping[tuple[str, int], list[Measured]]


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
    bare: list[BareRun] = []
    runs: dict[tuple[str, int], list[Measured]] = {}
    with ExitStack() as stack:
        servers = [stack.enter_context(running(subject)) for subject in _subjects(home, weights)]
        for server in servers:
            run_load(server.port, server.subject.request, connections=16, seconds=2)
        for number in range(1, rounds + 1):
            bare.append(run_bare("images", home, seconds))
            for connections in CONNECTIONS:
                for server in servers:
                    found = measure(server, server.subject.request, connections=connections, seconds=seconds)
                    runs.setdefault((server.subject.name, connections), []).append(found)
            say(f"images: round {number} of {rounds}")
    return [_tabulate(title, runs, bare)]


def _subjects(home: Path, weights: Path) -> list[Subject]:
    cores = len(os.sched_getaffinity(0))
    request = as_form("file", "photograph.jpg", read_photograph())
    command = [*uvicorn_command("benchmarks.apps.fastapi_images:app"), "--workers", str(cores)]
    typical = Subject(name=TYPICAL, command=command, environment={"BENCH_WEIGHTS": str(weights)}, request=request)
    ours = rookery_home(home, "images", name=OURS, workers=cores, request=request)
    return [replace(ours, request=request), typical]


def _tabulate(title: str, runs: Runs, bare: list[BareRun]) -> Table:
    floor, cost = [run.rate for run in bare], [run.cpu_seconds for run in bare]
    rates = {key: [measured.run.rate for measured in found] for key, found in runs.items()}
    rows = [[BARE, "", f"{median(floor):.1f}", "1.00×", "", "", "", "", f"{median(cost) * 1e3:.1f}", "1.00×"]]
    for (name, connections), found in runs.items():
        rate = rates[name, connections]
        rows.append(
            [
                name,
                str(connections),
                f"{median(rate):.1f}",
                f"{middle_ratio(rate, floor):.2f}×",
                f"{middle_ratio(rate, rates[TYPICAL, connections]):.2f}×",
                f"{median(measured.run.p50 for measured in found) / 1e3:,.0f}",
                f"{median(measured.run.p99 for measured in found) / 1e3:,.0f}",
                f"{median(measured.run.p99 / measured.run.p50 for measured in found):.1f}",
                f"{median(measured.cpu_seconds for measured in found) * 1e3:.1f}",
                f"{middle_ratio(cost, [measured.cpu_seconds for measured in found]):.2f}×",
            ]
        )
    return Table(
        title=title,
        columns=[
            *("what", "connections", "req/s", "÷ bare loop", "÷ FastAPI's", "p50 ms", "p99 ms", "p99 ÷ p50"),
            *("CPU ms", "bare loop's ÷ this"),
        ],
        rows=rows,
        notes=[
            f"Medians of {len(bare)} interleaved rounds; ratios are taken within a round, then their median",
            "Bars: 0.9 of the bare loop; 1.2 of FastAPI's at 16 connections; p99 at most 3 × p50",
            "The bare loop has no load generator beside it, the servers share the cores with theirs",
            "No server beats its own bare loop: a ratio above 1 to it tells of others' work on the machine",
            "CPU depends less on that; its ratio is an upper limit, since the load generator's is not in it",
        ],
    )

"""What does a request cost in processor time, and does a second worker make it dearer?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.load import Run, run_load
from benchmarks.servers import Server, running
from benchmarks.subjects import rookery_home
from benchmarks.table import Table

CONNECTIONS = 64
"""Connections for each worker: what makes a request cheap is how many arrive at a worker together."""


def measure_cpu(
    home: Path, *, rounds: int = 7, seconds: float = 3.0, say: Callable[[str], None] = print
) -> list[Table]:
    """Compare one worker with two, in turns, at 64 connections a worker; nobody is held to a core."""
    found: dict[int, list[tuple[float, Run]]] = {1: [], 2: []}
    one, two = (rookery_home(home, "penguins", name=f"{workers} worker(s)", workers=workers) for workers in found)
    with running(one) as first, running(two) as second:
        for number in range(1, rounds + 1):
            for workers, server in ((1, first), (2, second)):
                found[workers].append(_measure(server, seconds, CONNECTIONS * workers))
            say(f"cpu: round {number} of {rounds}")
    cost = {workers: median(per_request for per_request, _ in runs) for workers, runs in found.items()}
    rows = [
        [
            f"{workers}",
            f"{cost[workers] * 1e6:.1f}",
            f"{cost[workers] / cost[1]:.2f}×",
            *(f"{median(getattr(run, name) for _, run in runs):,.0f}" for name in ("rate", "p50", "p99")),
        ]
        for workers, runs in found.items()
    ]
    return [
        Table(
            title=f"Server CPU time per request at {CONNECTIONS} connections a worker",
            columns=["workers", "CPU µs per request", "÷ one worker's", "req/s", "p50 µs", "p99 µs"],
            rows=rows,
            notes=["All the server's processes are counted; the load generator shares the cores with them"],
        )
    ]


def _measure(server: Server, seconds: float, connections: int) -> tuple[float, Run]:
    """Return CPU seconds per request, and the run."""
    before = server.cpu_seconds()
    run = run_load(server.port, server.subject.request, connections=connections, seconds=seconds)
    return (server.cpu_seconds() - before) / run.requests, run

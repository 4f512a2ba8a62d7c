"""What does a worker weigh, what does each further model add, and do many models slow one down?

A worker is weighed when it has answered its load and every kind of rarer request: some of these load a library.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil

from benchmarks.load import run_load
from benchmarks.prepare import graph_bytes, prepare_many
from benchmarks.servers import Server, Subject, running
from benchmarks.subjects import PREDICT, rookery_home
from benchmarks.table import Table

MODELS = 50
MB = 1e6
WORKER = "worker"
RARER = ("/metrics", "/metrics/memory", "/health", "/info", "/openapi.json", "/docs")
"""What is asked for, below the service's prefix or else the server's, before the workers are weighed."""


def measure_memory(
    package: Path, folder: Path, *, rounds: int = 7, seconds: float = 2.0, say: Callable[[str], None] = print
) -> list[Table]:
    """Compare a server of one model with a server of fifty."""
    subjects = {count: _subject(package, folder, count) for count in (1, MODELS)}
    resident: dict[int, float] = {}
    p50s: dict[int, list[float]] = {count: [] for count in subjects}
    with running(subjects[1]) as one, running(subjects[MODELS]) as many:
        servers = {1: one, MODELS: many}
        for number in range(1, rounds + 1):
            for count, server in servers.items():
                run = run_load(server.port, server.subject.request, connections=1, seconds=seconds)
                p50s[count].append(run.p50)
            say(f"memory: round {number} of {rounds}")
        for server in servers.values():
            _ask_rarer(server)
        processes = {count: _processes(server) for count, server in servers.items()}
        resident = {count: max(size for role, size in found if role == WORKER) for count, found in processes.items()}
    graph = graph_bytes(package)
    each = (resident[MODELS] - resident[1]) / (MODELS - 1)
    latency = {count: median(values) for count, values in p50s.items()}
    weights = Table(
        title="Memory of one worker",
        columns=["what", "MB", "bar"],
        rows=[
            ["worker with one model", f"{resident[1] / MB:.1f}", "100"],
            [f"worker with {MODELS} models", f"{resident[MODELS] / MB:.1f}", ""],
            [
                "each further model",
                f"{each / MB:.2f}",
                f"{(3 * graph + MB) / MB:.2f} (3 × graph of {graph / MB:.2f} + 1)",
            ],
        ],
        notes=[
            f"Resident set size after load and after {', '.join(RARER)}",
            "All processes with one model: " + ", ".join(f"{name} {size / MB:.0f} MB" for name, size in processes[1]),
        ],
    )
    speed = Table(
        title="Latency with many models loaded",
        columns=["models", "p50 µs, 1 conn.", "÷ one model's"],
        rows=[[f"{count}", f"{value:,.0f}", f"{value / latency[1]:.2f}×"] for count, value in latency.items()],
    )
    return [weights, speed]


def _subject(package: Path, folder: Path, count: int) -> Subject:
    services, home = prepare_many(package, folder, count)
    request = PREDICT if count == 1 else replace(PREDICT, path="/p00/predict")
    names = [f"p{number:02d}" for number in range(count)]
    subject = rookery_home(home, *names, name=f"{count} models", request=request)
    return replace(subject, environment={**subject.environment, "ROOKERY_SERVICES_FOLDER": str(services)})


def _ask_rarer(server: Server) -> None:
    """Ask once for everything that is not a prediction.

    Raises:
        RuntimeError: a route of the list is not there.
    """
    prefix = server.subject.request.path.removesuffix("/predict")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for path in RARER:
        connection.request("GET", path if path.startswith("/metrics") else prefix + path)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"{server.subject.name}: {path} answered {response.status}")
    connection.close()


def _role(command: Sequence[str]) -> str:
    """Tell a process of the server by its command."""
    line = " ".join(command)
    if "rookery.supervisor.worker" in line:
        return WORKER
    return "registry synchronisation" if "rookery.registry" in line else "supervisor"


def _processes(server: Server) -> list[tuple[str, int]]:
    """Return the server's processes with their resident bytes, largest first."""
    found = []
    for process in server.processes():
        try:
            role = _role(process.cmdline())
            found.append((role, int(process.memory_info().rss)))
        except psutil.NoSuchProcess:
            continue
    return sorted(found, key=lambda pair: -pair[1])

"""Does a service of numbers stay quick while pictures take all of the machine?"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

from benchmarks.load import run_load
from benchmarks.pictures import as_form, find_weights, prepare_pictures, read_photograph
from benchmarks.servers import Request, running
from benchmarks.subjects import PREDICT, rookery_home
from benchmarks.table import Table

CONNECTIONS = 16
"""Of those that send pictures."""
PAUSE_SECONDS = 0.005
"""Between an answer and the next question about a penguin: whoever asks without a pause is never kept waiting for."""
ALLOWED_MS = 5.0
"""How much later than one picture's time a penguin's p99 may come."""


def measure_neighbours(
    home: Path, *, rounds: int = 7, seconds: float = 3.0, say: Callable[[str], None] = print
) -> list[Table]:
    """Time penguins on a server that is idle, and on the same server under pictures, in turns."""
    weights = find_weights()
    title = "Penguins beside photographs on one server, all cores"
    if weights is None:
        return [Table(title=title, columns=["skipped"], rows=[], notes=["BENCH_WEIGHTS names no MobileNetV2"])]
    prepare_pictures(home, weights)
    cores = len(os.sched_getaffinity(0))
    penguin = replace(PREDICT, path="/penguins/predict")
    picture = replace(as_form("file", "photograph.jpg", read_photograph()), path="/images/predict")
    times: dict[str, list[list[float]]] = {"picture": [], "idle": [], "beside": []}
    server = rookery_home(home, "images", "penguins", workers=cores, request=penguin)
    with running(server) as served, ThreadPoolExecutor(1) as background:
        run_load(served.port, picture, connections=CONNECTIONS, seconds=2)
        for number in range(1, rounds + 1):
            times["picture"].append(_time(served.port, picture, seconds))
            times["idle"].append(_time(served.port, penguin, seconds))
            load = background.submit(
                run_load, served.port, picture, connections=CONNECTIONS, seconds=seconds + 2, cores=()
            )
            time.sleep(1)
            times["beside"].append(_time(served.port, penguin, seconds))
            load.result()
            say(f"neighbours: round {number} of {rounds}")
    return [_tabulate(title, times)]


def _time(port: int, request: Request, seconds: float) -> list[float]:
    """Return the milliseconds of one client's answers, who rests between them; every fourth on a new connection."""
    found: list[float] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.connect()
        for _ in range(4):
            start = time.perf_counter()
            connection.request("POST", request.path, request.body, {"Content-Type": request.content_type})
            response = connection.getresponse()
            response.read()
            found.append((time.perf_counter() - start) * 1e3)
            if response.status != 200:
                raise RuntimeError(f"{request.path} answered {response.status}")
            time.sleep(PAUSE_SECONDS)
        connection.close()
    return found


def _tabulate(title: str, times: dict[str, list[list[float]]]) -> Table:
    late = {name: median(quantiles(found, n=100)[-1] for found in rounds) for name, rounds in times.items()}
    middle = {name: median(median(found) for found in rounds) for name, rounds in times.items()}
    allowed = middle["picture"] + ALLOWED_MS
    names = {
        "picture": "one photograph, alone",
        "idle": "penguins, idle server",
        "beside": "penguins beside photographs",
    }
    rows = [
        [
            names[name],
            f"{middle[name]:.2f}",
            f"{late[name]:.2f}",
            f"{allowed:.1f}" if name == "beside" else "",
        ]
        for name in times
    ]
    return Table(
        title=title,
        columns=["what", "p50 ms", "p99 ms", "p99 allowed"],
        rows=rows,
        notes=[
            f"Medians of {len(times['idle'])} rounds; {CONNECTIONS} connections send photographs without a pause",
            f"Allowed is one photograph's p50 and {ALLOWED_MS:g} ms",
            f"One client rests {PAUSE_SECONDS * 1e3:g} ms between questions; every fourth comes on a new connection",
        ],
    )

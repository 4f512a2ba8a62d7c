"""What do keypoints cost when they are computed, when this worker has them in memory, and when Redis has them?"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.bare import run_bare
from benchmarks.load import Run, run_load
from benchmarks.pictures import as_form, make_scan, prepare_pictures
from benchmarks.servers import Request, Subject, free_port, running, send_once, uvicorn_command
from benchmarks.subjects import rookery_home
from benchmarks.table import Table

CONNECTIONS = 16
MISSES = "misses: every picture a new one"
HITS = "hits in this worker's memory"
REDIS_HITS = "hits in Redis, none in memory"
CONSTANT = "constant ASGI app, plain uvicorn, same upload"
BARE = "bare OpenCV loop"

REDIS_ONLY = '''"""The features, with a memory that no answer fits into: all that is found is found in Redis."""

from dataclasses import replace

from services.features.service import service as features

service = replace(features, cache=replace(features.cache, memory_bytes=1))
'''


def measure_features(
    home: Path, folder: Path, *, rounds: int = 7, seconds: float = 3.0, say: Callable[[str], None] = print
) -> list[Table]:
    """Measure misses with all cores beside OpenCV alone, and hits of one worker beside a constant answer, in turns."""
    prepare_pictures(home, None)
    scan, vary_at = make_scan()
    same = as_form("image", "scan.tif", scan)
    rates: dict[str, list[float]] = {}
    runs: dict[str, list[Run]] = {}
    with ExitStack() as stack:
        subjects = _subjects(home, folder, same, stack.enter_context(_redis()))
        servers = [stack.enter_context(running(subject)) for subject in subjects]
        answer = send_once(servers[0].port, same)[1]
        constant = Subject(
            name=CONSTANT,
            command=uvicorn_command("benchmarks.apps.constant_upload:app"),
            environment={"BENCH_BODY_BYTES": str(len(answer))},
            request=same,
        )
        servers.append(stack.enter_context(running(constant)))
        for number in range(1, rounds + 1):
            rates.setdefault(BARE, []).append(run_bare("features", home, seconds))
            for server in servers:
                # Misses are asked for with pictures that differ; a server is asked for one answer again and again.
                name, request = server.subject.name, same
                if name == MISSES:
                    request = as_form("image", "scan.tif", scan, vary_at=vary_at)
                run = run_load(server.port, request, connections=CONNECTIONS, seconds=seconds)
                runs.setdefault(name, []).append(run)
                rates.setdefault(name, []).append(run.rate)
            say(f"features: round {number} of {rounds}")
    return [_tabulate(rates, runs, upload=len(same.body), answer=len(answer))]


def _subjects(home: Path, folder: Path, request: Request, redis_url: str | None) -> list[Subject]:
    cores = len(os.sched_getaffinity(0))
    subjects = [
        rookery_home(home, "features", name=MISSES, workers=cores, request=request),
        rookery_home(home, "features", name=HITS, request=request),
    ]
    if redis_url is not None:
        services = folder / "services-redis"
        (services / "features").mkdir(parents=True, exist_ok=True)
        (services / "features" / "service.py").write_text(REDIS_ONLY)
        ours = rookery_home(home, "features", name=REDIS_HITS, request=request)
        settings = {"ROOKERY_SERVICES_FOLDER": str(services), "ROOKERY_REDIS_URL": redis_url}
        subjects.append(replace(ours, environment={**ours.environment, **settings}))
    return subjects


@contextmanager
def _redis() -> Iterator[str | None]:
    """Run a Redis of our own without a disk; None where there is none, and nobody named one."""
    url = os.environ.get("ROOKERY_TEST_REDIS_URL")
    program = shutil.which("redis-server")
    if url or program is None:
        yield url
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        child = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            child.terminate()
            child.wait(10)


def _tabulate(rates: dict[str, list[float]], runs: dict[str, list[Run]], *, upload: int, answer: int) -> Table:
    beside = {MISSES: (BARE, 0.9), HITS: (CONSTANT, 0.5), REDIS_HITS: (CONSTANT, 0.3)}
    rows = []
    for name, found in rates.items():
        reference, bar = beside.get(name, (name, None))
        ratio = median(one / other for one, other in zip(found, rates[reference], strict=True))
        late = [f"{median(getattr(run, at) for run in runs[name]) / 1e3:,.1f}" for at in ("p50", "p99") if name in runs]
        rows.append(
            [
                name,
                f"{median(found):,.0f}",
                *(late or ["", ""]),
                reference if bar else "",
                f"{ratio:.2f}×" if bar else "",
                f"{bar:g}" if bar else "",
            ]
        )
    notes = [
        f"Medians of {len(rates[BARE])} interleaved rounds at {CONNECTIONS} connections; ratios are within a round",
        f"A grey TIFF of 512 × 512 pixels, {upload:,} bytes of form; an answer has {answer:,} bytes",
        "Misses have all cores, as the bare loop has; hits have one worker, as the constant application has",
    ]
    if REDIS_HITS not in rates:
        notes.append("Redis was not measured: there is no redis-server, and ROOKERY_TEST_REDIS_URL is not set")
    columns = ["what", "req/s", "p50 ms", "p99 ms", "beside", "÷ that", "bar"]
    return Table(title="Keypoints: computed, remembered, and shared", columns=columns, rows=rows, notes=notes)

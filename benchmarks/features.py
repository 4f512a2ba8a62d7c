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

from benchmarks.bare import BareRun, run_bare
from benchmarks.load import run_load
from benchmarks.measured import Measured, measure, middle_ratio
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
BARS = {MISSES: (BARE, "0.9"), HITS: (CONSTANT, "0.5"), REDIS_HITS: (CONSTANT, "0.3")}
"""What each is held against, and how much of its rate is asked for."""
LATE = ("p50", "p99")
VARIANTS = 48
"""Different pictures that are known: three times as many as are asked for at the same time."""
WARM_SECONDS = 8.0

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
    new = as_form("image", "scan.tif", scan, vary_at=vary_at)
    # Pictures take turns: the same one at the same time is merged, and Redis would hardly be asked.
    known = as_form("image", "scan.tif", scan, vary_at=vary_at, variants=VARIANTS)
    cores = sorted(os.sched_getaffinity(0))
    server_cores, generator_cores = (cores[:1], cores[1:2]) if len(cores) > 1 else ((), ())
    bare: list[BareRun] = []
    runs: dict[str, list[Measured]] = {}
    with ExitStack() as stack:
        computing = stack.enter_context(running(rookery_home(home, "features", workers=len(cores), request=new)))
        answer = send_once(computing.port, known)[1]
        subjects = _remembering(home, folder, known, stack.enter_context(_redis()), answer=len(answer))
        servers = [stack.enter_context(running(subject, cores=server_cores)) for subject in subjects]
        for server in servers:
            # So long that every picture was computed once and is where it will be found.
            run_load(server.port, known, connections=CONNECTIONS, seconds=WARM_SECONDS, cores=generator_cores)
        for number in range(1, rounds + 1):
            bare.append(run_bare("features", home, seconds))
            found = measure(computing, new, connections=CONNECTIONS, seconds=seconds, is_cached=True)
            runs.setdefault(MISSES, []).append(found)
            for server in servers:
                name = server.subject.name
                found = measure(
                    server,
                    known,
                    connections=CONNECTIONS,
                    seconds=seconds,
                    cores=generator_cores,
                    is_cached=name != CONSTANT,
                )
                runs.setdefault(name, []).append(found)
            say(f"features: round {number} of {rounds}")
    return [_tabulate(bare, runs, upload=len(known.body), answer=len(answer))]


def _remembering(home: Path, folder: Path, request: Request, redis_url: str | None, *, answer: int) -> list[Subject]:
    """Return one worker that has all answers in its memory, one that finds them in Redis, and a constant answer."""
    subjects = [rookery_home(home, "features", name=HITS, request=request)]
    if redis_url is not None:
        services = folder / "services-redis"
        (services / "features").mkdir(parents=True, exist_ok=True)
        (services / "features" / "service.py").write_text(REDIS_ONLY)
        ours = rookery_home(home, "features", name=REDIS_HITS, request=request)
        settings = {"ROOKERY_SERVICES_FOLDER": str(services), "ROOKERY_REDIS_URL": redis_url}
        subjects.append(replace(ours, environment={**ours.environment, **settings}))
    constant = Subject(
        name=CONSTANT,
        command=uvicorn_command("benchmarks.apps.constant_upload:app"),
        environment={"BENCH_BODY_BYTES": str(answer)},
        request=request,
    )
    return [*subjects, constant]


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


def _tabulate(bare: list[BareRun], runs: dict[str, list[Measured]], *, upload: int, answer: int) -> Table:
    rates = {BARE: [run.rate for run in bare]}
    rates |= {name: [measured.run.rate for measured in found] for name, found in runs.items()}
    costs = {BARE: [run.cpu_seconds for run in bare]}
    costs |= {name: [measured.cpu_seconds for measured in found] for name, found in runs.items()}
    rows = []
    for name, found in rates.items():
        beside, bar = BARS.get(name, ("", ""))
        rows.append(
            [
                name,
                f"{median(found):,.0f}",
                *(
                    f"{median(getattr(m.run, at) for m in runs[name]) / 1e3:,.1f}" if name in runs else ""
                    for at in LATE
                ),
                f"{median(costs[name]) * 1e3:.2f}",
                runs[name][-1].mostly if name in runs else "",
                beside,
                f"{middle_ratio(found, rates[beside]):.2f}×" if beside else "",
                bar,
                f"{middle_ratio(costs[beside], costs[name]):.2f}×" if beside else "",
            ]
        )
    notes = [
        f"Medians of {len(bare)} interleaved rounds at {CONNECTIONS} connections; ratios are within a round",
        f"A grey TIFF of 512 × 512 pixels, {upload:,} bytes of form; an answer has {answer:,} bytes",
        f"Hits are {VARIANTS} pictures in turn: the same one at the same time would be merged instead of looked up",
        "Misses have all cores, as the bare loop has; hits one worker on one core, as the constant application has",
    ]
    notes.append("CPU depends less on others' work on the machine than rates do; the load generator's is not in it")
    if REDIS_HITS not in runs:
        notes.append("Redis was not measured: there is no redis-server, and ROOKERY_TEST_REDIS_URL is not set")
    columns = [
        "what",
        "req/s",
        "p50 ms",
        "p99 ms",
        "CPU ms",
        "answers",
        "beside",
        "÷ its req/s",
        "bar",
        "its CPU ÷ this",
    ]
    return Table(title="Keypoints: computed, remembered, and shared", columns=columns, rows=rows, notes=notes)

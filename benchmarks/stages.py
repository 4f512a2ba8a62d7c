"""Where does the time of a call go inside the pipeline, stage by stage?"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.table import Table
from rookery.package.contract import contract_from_manifest
from rookery.package.opener import open_package
from rookery.pipeline.admit import Admit
from rookery.pipeline.call import Call, Pass
from rookery.pipeline.encode import Encode
from rookery.pipeline.endpoint import Endpoint, LoadedVersion
from rookery.pipeline.finish import Finish
from rookery.pipeline.infer import Infer
from rookery.pipeline.observe import Observe
from rookery.pipeline.read import Read
from rookery.pipeline.split import Split
from rookery.serving.http import encode_error
from rookery.telemetry.accumulator import WorkerMetrics

SIZES = (1, 16, 64)
STAGES = ("admit", "read", "split", "infer", "finish", "encode", "observe")

Stage = Callable[[Pass], object]


def measure_stages(directory: Path, *, calls: int = 20_000, say: Callable[[str], None] = print) -> list[Table]:
    """Time every stage for passes of several sizes, in this process."""
    stages, make_calls = make_stages(directory)
    gc.collect()
    gc.freeze()  # as workers do once their models are loaded
    columns: dict[int, dict[str, float]] = {}
    for size in SIZES:
        times = [_time_stages(stages, make_calls(size)) for _ in range(calls // size)]
        columns[size] = {stage: median(marks[at] for marks in times) / size * 1e6 for at, stage in enumerate(STAGES)}
        say(f"stages: passes of {size}")
    rows = [[stage, *(f"{columns[size][stage]:.2f}" for size in SIZES)] for stage in STAGES]
    rows.append(["whole pipeline", *(f"{sum(columns[size].values()):.2f}" for size in SIZES)])
    return [
        Table(
            title="Where the time of a call goes in the pipeline, in µs a call",
            columns=["stage", *(f"passes of {size}" for size in SIZES)],
            rows=rows,
            notes=["Medians; what is not here (reading and writing HTTP) is the lane answering a constant, above"],
        )
    ]


def make_stages(directory: Path) -> tuple[Sequence[Stage], Callable[[int], list[Call]]]:
    """Return a package's stages in the order of `STAGES`, and what makes so many calls of its first golden case."""
    package = open_package(directory)
    endpoint = Endpoint(contract_from_manifest(package.manifest))
    metrics = WorkerMetrics("benchmark")
    loaded = LoadedVersion(package, "1", series=metrics.series(package.manifest.service, "1"))
    endpoint.install({"1": loaded}, champion="1", weights={"1": 100}, aliases={"champion": "1"})
    body = package.schema.model.model_validate(package.golden[0].input).model_dump_json().encode()
    encode, observe = Encode(encode_error), Observe(endpoint, metrics)
    stages: Sequence[Stage] = (
        Admit(endpoint),
        Read(endpoint.contract),
        Split(endpoint),
        Infer(),
        Finish(endpoint.contract),
        lambda work: encode(work.calls),
        lambda work: observe(work.calls),
    )
    return stages, lambda size: [Call("single", body, time.perf_counter()) for _ in range(size)]


def _time_stages(stages: Sequence[Stage], calls: list[Call]) -> list[float]:
    """Take calls through all stages; returns how long each took, in seconds."""
    work, clock = Pass(calls), time.perf_counter
    marks = [clock()]
    for stage in stages:
        stage(work)
        marks.append(clock())
    return [after - before for before, after in pairwise(marks)]

"""What of the bare graph's speed is left for a batch of 1,000 rows, and what does JSON cost?"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import onnxruntime

from benchmarks.load import run_load
from benchmarks.servers import Request, running
from benchmarks.subjects import rookery_package
from benchmarks.table import Table
from rookery.fields.caps import ValueCap
from rookery.fields.packing import make_packer
from rookery.package.contract import contract_from_manifest
from rookery.package.golden import encode_golden
from rookery.package.opener import Package, open_package
from rookery.pipeline.call import Call
from rookery.pipeline.endpoint import Endpoint, LoadedVersion
from rookery.pipeline.pipeline import Pipeline
from rookery.serving.http import encode_error
from rookery.telemetry.accumulator import WorkerMetrics

ROWS = 1_000
REPEATS = 15
"""So often the parts are timed in turns in every round."""


def measure_batch(
    directory: Path, *, rounds: int = 7, seconds: float = 3.0, say: Callable[[str], None] = print
) -> list[Table]:
    """Time the parts of one batch in this process, in turns, and the whole of it over HTTP."""
    package = open_package(directory)
    cases = _ordinary_cases(package)
    body = json.dumps({"rows": cases}, separators=(",", ":")).encode()
    parts = _parts(package, body)
    found: dict[str, list[float]] = {name: [] for name in parts}
    gc.collect()
    gc.freeze()  # as workers do once their models are loaded
    for number in range(1, rounds + 1):
        for _ in range(REPEATS):
            for name, work in parts.items():
                found[name].append(_time(work))
        say(f"batch: round {number} of {rounds}")
    times = {name: median(values) for name, values in found.items()}
    subject = replace(rookery_package(directory), request=Request(path="/predict/batch", body=body))
    with running(subject) as server:
        over_http = run_load(server.port, subject.request, connections=1, seconds=seconds)
    return [_tabulate(times, http_seconds=1 / over_http.rate)]


def _parts(package: Package, body: bytes) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    endpoint = Endpoint(contract_from_manifest(package.manifest))
    metrics = WorkerMetrics("benchmark")
    loaded = LoadedVersion(package, "1", series=metrics.series(package.manifest.service, "1"))
    endpoint.install({"1": loaded}, champion="1", weights={"1": 100}, aliases={"champion": "1"})
    pipeline = Pipeline(endpoint, encode_error, metrics, None)

    def answer() -> Call:
        call = Call("batch", body, time.perf_counter())
        pipeline.run([call])
        return call

    answered = answer()
    if answered.status != 200:
        raise RuntimeError(f"the batch was refused: {answered.payload!r:.500}")
    packer = make_packer(package.schema)
    if packer is None:
        raise RuntimeError("the service's input is not read by the fast reader")
    cap = ValueCap(package.schema, ROWS)
    matrix = np.frombuffer(packer.pack_batch(body), dtype=np.float32).reshape(ROWS, -1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        (package.directory / "model.onnx").read_bytes(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    encode = msgspec.json.Encoder().encode
    name = session.get_inputs()[0].name
    return {
        "whole": answer,
        "parse": lambda: (cap.is_exceeded(body), packer.decode_batch(body)),
        "encode": lambda: encode({"predictions": answered.answers}),
        "graph": lambda: session.run(None, {name: matrix}),
    }


def _ordinary_cases(package: Package) -> list[dict[str, Any]]:
    """Return 1,000 inputs as a model mostly sees them: within its training ranges, so that none carries a warning."""
    low, high = package.profile.ranges()
    matrix = encode_golden(package.golden, package.encoder, package.schema)
    within = [at for at, row in enumerate(matrix) if not ((row < low) | (row > high)).any()]
    return [package.golden[within[index % len(within)]].input for index in range(ROWS)]


def _time(work: Callable[[], object]) -> float:
    """Return the processor seconds of one call: all of it is one thread's work, whoever else wants the core."""
    before = time.process_time()
    work()
    return time.process_time() - before


def _tabulate(times: dict[str, float], *, http_seconds: float) -> Table:
    graph = times["graph"]
    lines = [
        ("bare ONNX session, one thread", graph),
        ("pipeline without reading and writing JSON", times["whole"] - times["parse"] - times["encode"]),
        ("pipeline without reading JSON", times["whole"] - times["parse"]),
        ("pipeline, JSON in to JSON out", times["whole"]),
        ("over HTTP, one connection", http_seconds),
    ]
    parse, encode = times["parse"] / ROWS, times["encode"] / ROWS
    return Table(
        title=f"A batch of {ROWS:,} rows",
        columns=["what", "ms", "rows/s", "÷ bare session's rows/s"],
        rows=[
            [name, f"{seconds * 1e3:.2f}", f"{ROWS / seconds:,.0f}", f"{graph / seconds:.2f}×"]
            for name, seconds in lines
        ],
        notes=[f"JSON costs {parse * 1e6:.2f} µs a row to read and validate, {encode * 1e6:.2f} µs to write"],
    )

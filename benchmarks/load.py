"""Load: closed-loop runs by `wrk` where it is installed, by `benchmarks.generator` otherwise."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import ROOT, Request

WRK = shutil.which("wrk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one closed-loop run gave; latencies in microseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int

    @property
    def rate(self) -> float:
        """Answered requests per second."""
        return self.requests / self.seconds


def generator_name() -> str:
    """Return the name of the load generator in use."""
    return "wrk (one thread)" if WRK else "benchmarks.generator (one asyncio process)"


def run_load(port: int, request: Request, *, connections: int, seconds: float, cores: Sequence[int] = ()) -> Run:
    """Repeat one request over `connections` keep-alive connections.

    Raises:
        RuntimeError: the generator failed, or an answer was none of 2xx.
    """
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores and shutil.which("taskset") else []
    command = _wrk_command if WRK else _generator_command
    with tempfile.TemporaryDirectory() as folder:
        arguments = command(Path(folder), port, request, connections, seconds)
        done = subprocess.run([*pinned, *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"the load generator failed (exit code {done.returncode}): {done.stdout}{done.stderr}")
    found = json.loads(line.removeprefix("RESULT "))
    run = Run(
        requests=found["requests"],
        seconds=found["microseconds"] / 1e6,
        p50=found["p50"],
        p99=found["p99"],
        errors=found["errors"],
    )
    if run.errors or not run.requests:
        raise RuntimeError(f"{run.errors} of {run.requests} requests failed at {connections} connections")
    return run


def _wrk_command(folder: Path, port: int, request: Request, connections: int, seconds: float) -> list[str]:
    script = folder / "request.lua"
    script.write_text(
        f"""wrk.method = "POST"
wrk.headers["Content-Type"] = "{request.content_type}"
{_lua_body(request)}
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"errors":%d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""
    )
    # wrk counts whole seconds.
    duration = max(1, round(seconds))
    url = f"http://127.0.0.1:{port}{request.path}"
    return [
        *(str(WRK), "--threads", "1", "--connections", str(connections), "--duration", f"{duration}s"),
        *("--timeout", "30s", "--script", str(script), url),
    ]


def _generator_command(folder: Path, port: int, request: Request, connections: int, seconds: float) -> list[str]:
    body = folder / "body"
    body.write_bytes(request.body)
    return [
        *(sys.executable, "-m", "benchmarks.generator", str(port), request.path, request.content_type, str(body)),
        *(str(connections), str(seconds)),
        *(() if request.vary_at is None else map(str, (request.vary_at, *_numbers(request)))),
    ]


def _numbers(request: Request) -> tuple[int, int]:
    """Return where requests begin to count, and where they begin anew; by the clock where no two may be the same."""
    if request.variants is not None:
        return 0, request.variants
    return time.time_ns() // 1_000_000 % 100_000_000, 100_000_000


def _lua_body(request: Request) -> str:
    if request.vary_at is None:
        return f"wrk.body = {_lua_string(request.body)}"
    head, tail = request.body[: request.vary_at], request.body[request.vary_at + 8 :]
    first, end = _numbers(request)
    parts = f"local head, number, tail = {_lua_string(head)}, {first}, {_lua_string(tail)}"
    if request.variants is None:
        return f"""{parts}
function request()
  number = (number + 1) % {end}
  return wrk.format(nil, nil, nil, head .. string.format("%08d", number) .. tail)
end"""
    # Written beforehand: the generator must not be what is measured.
    return f"""{parts}
local requests = {{}}
function init()
  for at = 1, {end} do
    requests[at] = wrk.format(nil, nil, nil, head .. string.format("%08d", at) .. tail)
  end
end
function request()
  number = number % {end} + 1
  return requests[number]
end"""


def _lua_string(data: bytes) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in data) + '"'

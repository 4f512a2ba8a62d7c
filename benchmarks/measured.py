"""One run against a server, with what it cost the server and where its answers came from."""

from __future__ import annotations

import contextlib
import http.client
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.load import Run, run_load
from benchmarks.servers import Request, Server

SNAPSHOT_SECONDS = 1.2
"""Workers leave their counts once a second."""

_CACHED = re.compile(r'^rookery_cache_requests_total\{[^}]*result="(\w+)"[^}]*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run, and what the server says of it."""

    run: Run
    cpu_seconds: float
    """Processor time of one request, in all the server's processes."""
    sources: Counter[str]
    """How many answers were hits, misses and so on; empty where nothing is cached."""

    @property
    def mostly(self) -> str:
        """The most frequent source and its share."""
        if not self.sources:
            return ""
        ((name, count),) = self.sources.most_common(1)
        return f"{count / self.sources.total():.0%} {name}"


def measure(
    server: Server,
    request: Request,
    *,
    connections: int,
    seconds: float,
    cores: Sequence[int] = (),
    is_cached: bool = False,
) -> Measured:
    """Load a server; one with a cache is asked before and after where its answers come from."""
    before, used = _sources(server.port) if is_cached else Counter[str](), _used(server)
    run = run_load(server.port, request, connections=connections, seconds=seconds, cores=cores)
    # A child that has ended since would take all that it ever used out of the sum.
    cpu = sum(seconds - used.get(process, 0.0) for process, seconds in _used(server).items())
    return Measured(
        run=run, cpu_seconds=cpu / run.requests, sources=_sources(server.port) - before if is_cached else Counter()
    )


def _used(server: Server) -> dict[psutil.Process, float]:
    """Return the CPU seconds of each of a server's processes."""
    used: dict[psutil.Process, float] = {}
    for process in server.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used[process] = times.user + times.system
    return used


def _sources(port: int) -> Counter[str]:
    time.sleep(SNAPSHOT_SECONDS)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    return Counter({name: round(float(value)) for name, value in _CACHED.findall(text)})


def middle_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios that the rounds gave, each within itself."""
    return median(one / other for one, other in zip(ones, others, strict=True))

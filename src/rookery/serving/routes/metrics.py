"""`/metrics` and `/metrics/memory`."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from rookery.serving.responses import JsonResponse
from rookery.serving.site import Site
from rookery.telemetry.accumulator import Snapshot
from rookery.telemetry.exposition import CONTENT_TYPE, render
from rookery.telemetry.process import machine_memory, resident_memory_mb
from rookery.telemetry.snapshots import Retired, merge, read_snapshots, write_snapshot


class Memory(msgspec.Struct):
    """The memory of the machine and of the answering worker; megabytes are 10⁶ bytes."""

    memory_percent: float
    memory_available_mb: float
    memory_used_mb: float
    process_rss_mb: float


class ShowMetrics:
    """`GET /metrics`: the counts of all workers added up, in Prometheus' text format."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, _: Request) -> Response:
        """Add this worker's present counts to what the others wrote last."""
        # The counts belong to the event loop's thread; files and text are made in another.
        snapshot = self._site.metrics.snapshot()
        if self._site.metrics_folder is not None:
            # What was shown must not be lost if this worker is killed before its next regular snapshot.
            with contextlib.suppress(OSError):
                write_snapshot(self._site.metrics_folder, snapshot)
        text = await asyncio.to_thread(_render, snapshot, self._site.metrics_folder)
        return Response(text, headers={"content-type": CONTENT_TYPE})


def _render(own: Snapshot, folder: Path | None) -> bytes:
    snapshots, retired = read_snapshots(folder) if folder is not None else ([], Retired())
    others = [snapshot for snapshot in snapshots if snapshot.source != own.source]
    return render(merge([own, *others], retired))


async def show_memory(_: Request) -> Response:
    """`GET /metrics/memory`: what the machine has left, and what this worker takes."""
    machine = machine_memory()
    return JsonResponse(
        Memory(
            memory_percent=machine.percent,
            memory_available_mb=round(machine.available / 1e6, 1),
            memory_used_mb=round(machine.used / 1e6, 1),
            process_rss_mb=round(resident_memory_mb(), 1),
        )
    )

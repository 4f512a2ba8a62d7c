"""The worker's side of lifeline and report pipe: orders in, reports out, the supervisor's end noticed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rookery.supervisor.messages import Orders, Report, read_orders
from rookery.telemetry.accumulator import Snapshot, WorkerMetrics
from rookery.telemetry.process import resident_memory_mb
from rookery.telemetry.snapshots import write_snapshot

LONGEST_BEAT_SECONDS = 1.0
EXIT_ORPHANED = 70


@dataclass(frozen=True, slots=True)
class Received:
    """What came down the lifeline."""

    orders: Orders
    listener: socket.socket
    """Where to serve; shared with the other workers."""
    reports: int
    """The descriptor of the report pipe."""


def receive_orders(lifeline: int) -> Received:
    """Read the orders, then watch the lifeline: when it ends, this process ends itself, gracefully if it can.

    The watch is a thread, so that it works while the event loop is stuck, too.
    """
    line = socket.socket(fileno=lifeline)
    data, descriptors, _, _ = socket.recv_fds(line, 65_536, 2)
    text = data
    while not text.endswith(b"\n"):
        if not data:
            # Quietly: the supervisor ended before it had orders, and has said why.
            os._exit(EXIT_ORPHANED)
        data = line.recv(65_536)
        text += data
    orders = read_orders(text)
    threading.Thread(
        target=_outlive_briefly, args=(line, orders.settings.graceful_timeout + 2), daemon=True, name="lifeline"
    ).start()
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    listener, reports = descriptors
    return Received(orders, socket.socket(fileno=listener), reports)


def _outlive_briefly(lifeline: socket.socket, seconds: float) -> None:
    """Wait for the supervisor's end, then drain as if it had asked for it, for at most so many seconds."""
    with contextlib.suppress(ConnectionError):
        while lifeline.recv(4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(seconds)
    os._exit(EXIT_ORPHANED)


class Reporter:
    """Writes reports to the supervisor; a supervisor that is gone or does not read is no reason to fail."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def send(self, report: Report) -> None:
        """Write one report."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, report.to_line())


async def beat(reporter: Reporter, metrics: WorkerMetrics, orders: Orders, *, before: Callable[[], None]) -> None:
    """Report from the event loop, for as long as it turns, that it does; and write the metrics' snapshot.

    `before` is called ahead of each snapshot, to bring in what is counted elsewhere.
    """
    loop = asyncio.get_running_loop()
    pause = min(LONGEST_BEAT_SECONDS, orders.settings.heartbeat_timeout / 5)
    folder = Path(orders.metrics_folder)
    writing: asyncio.Future[None] | None = None
    while True:
        reporter.send(Report(kind="beat", memory_mb=round(resident_memory_mb(), 1)))
        # In a thread, and never waited for: a disk that hangs must not stop the beat.
        if writing is None or writing.done():
            before()
            writing = loop.run_in_executor(None, write_quietly, folder, metrics.snapshot())
        await asyncio.sleep(pause)


def write_quietly(folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot if the disk takes it; the next one holds all that this one did."""
    with contextlib.suppress(OSError):
        write_snapshot(folder, snapshot)

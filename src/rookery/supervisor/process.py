"""`WorkerProcess`: one started worker, as the supervisor sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from rookery.supervisor.messages import Orders, Report, read_report
from rookery.supervisor.watch import WorkerFacts

LONGEST_LINE = 65_536


class WorkerProcess:
    """A worker process with its two pipes; made by `start_worker`."""

    def __init__(self, process: subprocess.Popen[bytes], orders: Orders, *, lifeline: int, reports: int) -> None:
        self.process = process
        self.orders = orders
        self.reports = reports
        """The descriptor its reports are read from."""
        self.facts = WorkerFacts(started=time.monotonic())
        self.last_message = ""
        """Why it could not start, in its own words."""
        self.has_ended = False
        """Whether the worker closed its end: it is gone, or as good as gone."""
        self._lifeline = lifeline
        self._unread = b""

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def read_reports(self) -> list[Report]:
        """Return what the worker has reported since the last call, and note it in `facts`."""
        try:
            data = os.read(self.reports, LONGEST_LINE)
        except BlockingIOError:
            return []
        self.has_ended = not data
        *lines, self._unread = (self._unread + data).split(b"\n")
        found = [report for report in map(read_report, lines) if report is not None]
        now = time.monotonic()
        for report in found:
            if report.kind == "failed":
                self.last_message = report.message
                continue
            self.facts.last_beat = now
            if report.kind == "ready":
                self.facts.ready = now
            else:
                self.facts.memory_mb = report.memory_mb
        return found

    def exit_code(self) -> int | None:
        """Return the exit code (minus the signal's number if one killed it), or None while it lives."""
        return self.process.poll()

    def stop(self) -> None:
        """Ask the worker to finish what it has and to leave."""
        if self.facts.stopping is None:
            self.facts.stopping = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the worker at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def close(self) -> None:
        """Let go of the pipes of a worker that is gone."""
        for descriptor in (self._lifeline, self.reports):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def start_worker(make_orders: Callable[[int], Orders], listener: socket.socket) -> WorkerProcess:
    """Start a worker that shares `listener`; `make_orders` writes its orders, given the report pipe's descriptor.

    The worker is a new program, not a fork, and leads a session of its own: a Ctrl-C in the terminal reaches the
    supervisor alone, which then stops its workers in order. Files in the working directory hide no library (`-P`).
    """
    lifeline_read, lifeline_write = os.pipe()
    reports_read, reports_write = os.pipe()
    orders = make_orders(reports_write)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", "rookery.supervisor.worker", str(lifeline_read)],
            pass_fds=(lifeline_read, reports_write, listener.fileno()),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(lifeline_read)
        os.close(reports_write)
    os.set_blocking(reports_read, False)
    # A worker that dies at once leaves a pipe without a reader; its exit code tells more than the error here.
    with contextlib.suppress(BrokenPipeError):
        os.write(lifeline_write, orders.to_line())
    return WorkerProcess(process, orders, lifeline=lifeline_write, reports=reports_read)

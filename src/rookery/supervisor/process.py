"""`WorkerProcess`: one started worker, as the supervisor sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time

from rookery.supervisor.launch import LaunchedWorker
from rookery.supervisor.messages import Orders, Report, read_report
from rookery.supervisor.watch import WorkerFacts

LONGEST_LINE = 65_536


class WorkerProcess:
    """A worker process with its lifeline and its report pipe; made by `give_orders`."""

    def __init__(
        self, process: subprocess.Popen[bytes], orders: Orders, *, lifeline: socket.socket, reports: int
    ) -> None:
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
        """Let go of the lifeline and the pipe of a worker that is gone."""
        self._lifeline.close()
        with contextlib.suppress(OSError):
            os.close(self.reports)


def give_orders(launched: LaunchedWorker, orders: Orders, listener: socket.socket) -> WorkerProcess:
    """Let a launched worker serve on `listener` as `orders` say."""
    reports_read, reports_write = os.pipe()
    os.set_blocking(reports_read, False)
    try:
        launched.send(orders.to_line(), [listener.fileno(), reports_write])
    finally:
        os.close(reports_write)
    return WorkerProcess(launched.process, orders, lifeline=launched.lifeline, reports=reports_read)

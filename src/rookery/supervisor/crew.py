"""`Crew`: the worker processes of one server, started, watched, replaced and stopped."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rookery.errors import ServeError
from rookery.settings import Settings
from rookery.supervisor.launch import LaunchedWorker, launch_worker
from rookery.supervisor.messages import Orders, Report
from rookery.supervisor.process import WorkerProcess, give_orders
from rookery.supervisor.watch import crashes_in_a_row, judge, restart_delay, threads_per_worker

Tell = Callable[..., None]
"""Called as `tell(level, message, **fields)` with what operators should know."""


@dataclass(slots=True)
class Slot:
    """One place among the workers: who holds it, who is to take over, and how it has been going."""

    index: int
    current: WorkerProcess | None = None
    successor: WorkerProcess | None = None
    """A replacement that is starting; it takes over when it is ready."""
    reason: str = ""
    """Why the next start happens, for the metrics."""
    crashes: int = 0
    start_at: float | None = None
    """When an empty place is filled again."""


class Crew:
    """The workers of one server; every method returns at once."""

    def __init__(
        self,
        settings: Settings,
        services: tuple[str, ...],
        listener: socket.socket,
        metrics_folder: Path,
        *,
        optional: tuple[str, ...] = (),
        tell: Tell,
        retire: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._services = services
        self._optional = optional
        self._listener = listener
        self._metrics_folder = metrics_folder
        self._tell = tell
        self._retire = retire
        self._selector = selectors.DefaultSelector()
        self._slots = [Slot(index) for index in range(settings.workers)]
        self._leaving: list[WorkerProcess] = []
        self._lives = 0
        self._rolling: list[int] = []
        self.ready_report: Report | None = None
        """What the first ready worker said it serves; None while none has been ready."""
        self.restarts: dict[str, int] = {}
        """Workers replaced so far, by reason."""

    def start(self, launched: LaunchedWorker | None = None) -> None:
        """Start a worker in every place, the first one with a process that was launched before, if there is one."""
        for slot in self._slots:
            slot.current = self._start(slot, launched)
            launched = None

    def watch(self, descriptor: int) -> None:
        """Let `wait` return early, too, when `descriptor` can be read."""
        self._selector.register(descriptor, selectors.EVENT_READ, None)

    def wait(self, seconds: float) -> None:
        """Read what workers report, for at most `seconds`; returns after the first reports."""
        for key, _ in self._selector.select(seconds):
            worker = key.data
            if worker is None:
                os.read(key.fd, 4096)
            else:
                self._read(worker)

    def tend(self) -> None:
        """Act on what is known: bury the dead, kill the stuck, replace the fat, fill empty places."""
        now = time.monotonic()
        for worker in list(self._leaving):
            if worker.exit_code() is not None:
                self._bury(worker)
                self._leaving.remove(worker)
            else:
                self._judge(worker, None, now)
        for slot in self._slots:
            self._tend_successor(slot, now)
            self._tend_current(slot, now)
        self._roll()

    def reload(self) -> None:
        """Replace every worker by a fresh one, one after the other; each leaves when its successor is ready."""
        self._rolling = [slot.index for slot in self._slots]

    def stop(self) -> None:
        """Ask every worker to finish its requests and leave; nobody is started any more."""
        self._rolling = []
        for slot in self._slots:
            for worker in (slot.current, slot.successor):
                if worker is not None:
                    worker.stop()
                    self._leaving.append(worker)
            slot.current = slot.successor = slot.start_at = None

    def kill(self) -> None:
        """End every worker at once."""
        self.stop()
        for worker in self._leaving:
            worker.kill()

    @property
    def alive(self) -> int:
        """How many workers have not left yet."""
        return len(self._leaving) + sum((s.current is not None) + (s.successor is not None) for s in self._slots)

    @property
    def ready(self) -> int:
        """How many workers answer requests."""
        return sum(slot.current is not None and slot.current.facts.ready is not None for slot in self._slots)

    def _start(self, slot: Slot, launched: LaunchedWorker | None = None) -> WorkerProcess:
        self._lives += 1
        settings = self._settings
        orders = Orders(
            settings=settings,
            services=self._services,
            optional=self._optional,
            slot=slot.index,
            source=f"worker-{slot.index}-{os.getpid()}-{self._lives}",
            metrics_folder=str(self._metrics_folder),
            threads=threads_per_worker(settings.threads, settings.workers, os.cpu_count() or 1),
        )
        worker = give_orders(launched or launch_worker(), orders, self._listener)
        self._selector.register(worker.reports, selectors.EVENT_READ, worker)
        slot.start_at = None
        return worker

    def _read(self, worker: WorkerProcess) -> None:
        for report in worker.read_reports():
            if report.kind == "ready" and self.ready_report is None:
                self.ready_report = report
        if worker.has_ended:
            # A closed pipe can be read for ever; the rest is `tend`'s.
            self._selector.unregister(worker.reports)

    def _bury(self, worker: WorkerProcess) -> None:
        worker.read_reports()
        if worker.reports in self._selector.get_map():
            self._selector.unregister(worker.reports)
        worker.close()
        self._retire(worker.orders.source)

    def _judge(self, worker: WorkerProcess, slot: Slot | None, now: float) -> None:
        verdict = judge(worker.facts, self._settings, now)
        if verdict == "keep":
            return
        action, _, reason = verdict.partition(": ")
        if action == "kill":
            self._tell("error", f"Worker killed: {reason}", pid=worker.pid)
            if slot is not None:
                slot.reason = reason
            worker.kill()
        elif slot is not None and slot.successor is None:
            self._tell("warning", "Worker is replaced: memory", pid=worker.pid, memory_mb=worker.facts.memory_mb)
            self._replace(slot, reason)

    def _replace(self, slot: Slot, reason: str) -> None:
        slot.reason = reason
        slot.successor = self._start(slot)

    def _tend_successor(self, slot: Slot, now: float) -> None:
        """Hand the place over to a ready successor; one that cannot start leaves all as it was."""
        successor = slot.successor
        if successor is None:
            return
        if successor.exit_code() is not None:
            self._bury(successor)
            slot.successor = None
            self._tell("error", "Replacement could not start; the old worker goes on", reason=_cause(successor))
            self._rolling = []
        elif successor.facts.ready is not None:
            former, slot.current, slot.successor = slot.current, successor, None
            self._count(slot)
            if former is not None:
                former.stop()
                self._leaving.append(former)
        else:
            self._judge(successor, None, now)

    def _tend_current(self, slot: Slot, now: float) -> None:
        worker = slot.current
        if worker is None:
            if slot.successor is None and slot.start_at is not None and now >= slot.start_at:
                slot.current = self._start(slot)
                self._count(slot)
            return
        if worker.exit_code() is None:
            self._judge(worker, slot, now)
            return
        self._bury(worker)
        slot.current = None
        if self.ready_report is None:
            raise ServeError(f"the server cannot start: {_cause(worker)}")
        slot.reason = slot.reason or "crash"
        slot.crashes = crashes_in_a_row(slot.crashes, now - worker.facts.started)
        delay = restart_delay(slot.crashes)
        slot.start_at = now + delay
        self._tell(
            "error",
            "Worker died; another one is started",
            pid=worker.pid,
            reason=_cause(worker),
            crashes_in_a_row=slot.crashes,
            delay_seconds=delay,
        )

    def _count(self, slot: Slot) -> None:
        reason, slot.reason = slot.reason or "crash", ""
        self.restarts[reason] = self.restarts.get(reason, 0) + 1

    def _roll(self) -> None:
        """Go on with a rolling restart when its last step is complete."""
        if self._rolling and not any(slot.successor for slot in self._slots):
            slot = self._slots[self._rolling.pop(0)]
            if slot.current is not None:
                self._replace(slot, "reload")


def _cause(worker: WorkerProcess) -> str:
    """Say why a worker is gone."""
    if worker.last_message:
        return worker.last_message
    code = worker.process.returncode
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"

"""Servers under measurement: started as processes of their own, waited for, and ended by their process group."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The request that a run repeats."""

    path: str
    body: bytes
    content_type: str = "application/json"
    vary_at: int | None = None
    """Where in the body eight digits count up; None: all requests are the same."""
    variants: int | None = None
    """So many different requests take turns; None: no two are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A server to measure: its name in the tables, its command (`{port}` is filled in) and its environment."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    request: Request


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs and has answered its request once."""

    subject: Subject
    port: int
    process: psutil.Process
    startup_seconds: float
    """From the launch to the first 200."""

    def processes(self) -> list[psutil.Process]:
        """Return the server's processes, its first one leading."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the CPU time that all the server's living processes have used, in seconds."""
        total = 0.0
        for process in self.processes():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send_once(port: int, request: Request, *, timeout: float = 10.0) -> tuple[int, bytes]:
    """Send one request over a connection of its own; returns status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", request.path, request.body, {"Content-Type": request.content_type})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def running(subject: Subject, *, cores: Sequence[int] = (), patience: float = 60.0) -> Iterator[Server]:
    """Run a server until the block ends.

    Args:
        subject: what to start.
        cores: the processor cores that all its processes are held to; empty: any.
        patience: seconds to wait for the first 200.

    Raises:
        RuntimeError: the server ended or did not answer; the message holds its last output.
    """
    port = free_port()
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores and shutil.which("taskset") else []
    command = [*pinned, *(part.format(port=port) for part in subject.command)]
    with tempfile.TemporaryFile() as output:
        before = time.perf_counter()
        child = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT), **subject.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if not _await_answer(child, port, subject.request, before + patience):
                output.seek(0)
                shown = output.read()[-4000:].decode(errors="replace")
                raise RuntimeError(f"{subject.name} gave no 200 (exit code {child.poll()}):\n{shown}")
            yield Server(subject, port, psutil.Process(child.pid), time.perf_counter() - before)
        finally:
            _end(child)


def _await_answer(child: subprocess.Popen[bytes], port: int, request: Request, deadline: float) -> bool:
    while time.perf_counter() < deadline and child.poll() is None:
        try:
            status, _ = send_once(port, request)
        except (OSError, http.client.HTTPException):
            status = 0
        if status == 200:
            return True
        time.sleep(0.004)
    return False


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the server to end; after ten seconds, end its whole process group."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def uvicorn_command(application: str) -> list[str]:
    """Return the command of one plain uvicorn worker at its fastest: uvloop, httptools, no access log."""
    return [
        *(sys.executable, "-m", "uvicorn", application, "--host", "127.0.0.1", "--port", "{port}"),
        *("--loop", "uvloop", "--http", "httptools", "--ws", "none", "--no-access-log", "--log-level", "warning"),
    ]

"""Redis servers of a test's own, which may be killed, and what is read of a server's metrics meanwhile."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from tests.servers import PATIENCE, ServerProcess, find_free_port


class Redis:
    """A Redis of one test alone, which may be killed."""

    def __init__(self, folder: Path) -> None:
        self.port = find_free_port()
        self._command = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self._command += ["--port", str(self.port)]
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        self.process = self._start()


def metric(server: ServerProcess, name: str, labels: str = "") -> float:
    """Return a metric's value; 0 while it is not shown. Snapshots are a second old at most."""
    text = server.request("GET", "/metrics").body.decode()
    found = re.search(rf"^{name}{{?{re.escape(labels)}[^}}\n]*}}? ([\d.e+]+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def until(server: ServerProcess, name: str, labels: str, expected: float) -> None:
    """Wait until a metric has a value."""
    deadline = time.monotonic() + PATIENCE
    while (seen := metric(server, name, labels)) != expected:
        assert time.monotonic() < deadline, f"{name} is {seen}, not {expected}"
        time.sleep(0.1)

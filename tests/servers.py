"""Real servers for tests: `rookery serve` and plain uvicorn as processes of their own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOKERY = str(Path(sys.executable).with_name("rookery"))
PATIENCE = 60.0
"""Seconds a server may take to come up, on a machine that is busy with other tests."""


FOREIGN_NAMES = {"PORT", "LOG_LEVEL", "DEBUG", "MAX_WORKERS", "TIMEOUT", "MAX_MEMORY", "MODEL_PATH"}


def is_setting(name: str) -> bool:
    """Tell whether an environment variable would set something in a server."""
    is_ours = name.startswith("ROOKERY_") and not name.startswith("ROOKERY_TEST_")
    return is_ours or name in FOREIGN_NAMES


def find_free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Reply:
    """One response to a test's request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as strict JSON values."""
        return json.loads(self.body, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> float:
    raise AssertionError(f"the body holds {name}, which is no JSON")


class ServerProcess:
    """A server in a process of its own, with its output in a file."""

    def __init__(self, command: Sequence[str], *, port: int, log: Path, environment: Mapping[str, str]) -> None:
        self.port = port
        self.log = log
        inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env={**inherited, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def request(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, timeout: float = 30
    ) -> Reply:
        """Send one request over a connection of its own; a body that is no bytes goes as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, named, response.read())
        finally:
            connection.close()

    def wait_for(self, path: str = "/readyz", *, status: int = 200, seconds: float = PATIENCE) -> None:
        """Wait until a path answers with a status.

        Raises:
            AssertionError: it does not within `seconds`, or the process ends; the message holds its output.
        """
        deadline, seen = time.monotonic() + seconds, "nothing"
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                reply = self.request("GET", path)
            except (OSError, http.client.HTTPException) as error:
                seen = repr(error)
            else:
                if reply.status == status:
                    return
                seen = f"{reply.status} {reply.body[:500]!r}"
            time.sleep(0.02)
        raise AssertionError(
            f"{path} never answered {status}, last {seen}, exit code {self.process.poll()}:\n{self.output()[-4000:]}"
        )

    def output(self) -> str:
        """Return what the server has printed so far."""
        return self.log.read_text(errors="replace")

    def stop(self, *, seconds: float = 20.0) -> int:
        """Ask the server to end and return its exit code; after `seconds`, end its whole process group."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()

    class Factory:
        """Starts servers whose output and homes lie in one folder."""

        def __init__(self, folder: Path) -> None:
            self.folder = folder
            self.started: list[ServerProcess] = []

        def serve(
            self, *arguments: str, home: Path | None = None, ready: str | None = "/readyz", **settings: str
        ) -> ServerProcess:
            """Run `rookery serve` with arguments and settings (`lane="off"` is `ROOKERY_LANE`) until it is ready."""
            environment = {f"ROOKERY_{name.upper()}": value for name, value in settings.items()}
            environment["ROOKERY_HOME"] = str(home or self.folder / "home")
            port = find_free_port()
            command = [ROOKERY, "serve", *arguments, "--host", "127.0.0.1", "--port", str(port)]
            return self.start(command, port=port, ready=ready, environment=environment)

        def start(
            self, command: Sequence[str], *, port: int, ready: str | None, environment: Mapping[str, str]
        ) -> ServerProcess:
            """Run any server's command until it is ready."""
            log = self.folder / f"server-{len(self.started)}.log"
            server = ServerProcess(command, port=port, log=log, environment=environment)
            self.started.append(server)
            if ready is not None:
                server.wait_for(ready)
            return server

        def stop_all(self) -> None:
            """End every server that is still running."""
            for server in self.started:
                server.stop()

"""Registries of all three kinds, and small packages to put into them."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rookery.registry.base import Registry
from rookery.registry.connect import connect
from rookery.registry.memory import MemoryRegistry
from rookery.registry.mlflow_client import open_client, sqlite_uri
from rookery.registry.mlflow_registry import MlflowRegistry
from rookery.settings import Settings
from tests.registry.packages import write_small_package

MakePackage = Callable[..., Path]


@pytest.fixture
def service() -> str:
    """A service's name that no other test uses: the MLflow server is shared."""
    return f"flowers-{secrets.token_hex(4)}"


@pytest.fixture
def make_package(tmp_path: Path, service: str) -> MakePackage:
    """Write small packages of `service`; equal `shift` and `candidate` make packages of equal content."""
    folder = tmp_path / "made"

    def make(*, shift: float = 0.0, candidate: str = "linear", synthetic: bool = False, name: str = "") -> Path:
        folder.mkdir(exist_ok=True)
        directory = folder / str(len(list(folder.iterdir())))
        return write_small_package(
            directory, service=name or service, shift=shift, candidate=candidate, synthetic=synthetic
        )

    return make


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without content: its seventy migrations run once, not in every test."""
    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    open_client(sqlite_uri(database))
    return database


@pytest.fixture
def embedded_home(home: Path, empty_database: Path) -> Path:
    """A home folder with an empty embedded registry."""
    (home / "registry").mkdir()
    shutil.copy(empty_database, home / "registry" / "mlflow.db")
    return home


@pytest.fixture
def embedded(embedded_home: Path) -> Registry:
    """The embedded registry of `embedded_home`."""
    return connect(Settings(home=embedded_home))


@pytest.fixture(scope="session")
def mlflow_server(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real MLflow server that proxies artifacts; without its job workers, of 195 MB each."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    shutil.copy(empty_database, folder / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", sqlite_uri(folder / "mlflow.db")]
    command += ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        _await_health(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        _end_group(process)


def _await_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the MLflow server did not start:\n{log.read_text()[-3000:]}")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the server and its worker, which share a process group of their own."""
    for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


SERVER = pytest.param("server", marks=pytest.mark.xdist_group("mlflow-server"))
"""Tests with the server run in one test process, which starts it once."""


@pytest.fixture(params=["memory", "embedded", SERVER])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    """Each kind of registry in turn."""
    if request.param == "memory":
        return MemoryRegistry(tmp_path / "memory")
    if request.param == "embedded":
        embedded: Registry = request.getfixturevalue("embedded")
        return embedded
    return MlflowRegistry(request.getfixturevalue("mlflow_server"))

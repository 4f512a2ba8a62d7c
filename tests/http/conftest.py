"""Three servers over one application: the lane, the ASGI door, and plain uvicorn."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers import ServerProcess, find_free_port


@pytest.fixture(scope="session")
def doors(penguins_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, int]]:
    """Ports by door: `lane`, `asgi` (`ROOKERY_LANE=off`) and `plain` (uvicorn's own protocol class)."""
    folder = tmp_path_factory.mktemp("doors")
    factory = ServerProcess.Factory(folder)
    try:
        ports = {
            door: factory.serve(
                "--package", str(penguins_package), "--workers", "1", home=folder / door, lane=lane
            ).port
            for door, lane in (("lane", "on"), ("asgi", "off"))
        }
        ports["plain"] = _start_plain_uvicorn(factory, penguins_package, folder / "plain")
        yield ports
    finally:
        factory.stop_all()


def _start_plain_uvicorn(factory: ServerProcess.Factory, package: Path, home: Path) -> int:
    port = find_free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "--factory", "tests.http.plain:make_application"),
        *("--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools", "--ws", "none"),
        *("--no-access-log", "--no-proxy-headers", "--lifespan", "off", "--log-level", "warning"),
    ]
    environment = {"PYTHONPATH": str(ROOT), "ROOKERY_HOME": str(home), "ROOKERY_PACKAGE": str(package)}
    return factory.start(command, port=port, ready="/readyz", environment=environment).port

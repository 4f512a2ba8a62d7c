"""A real server on a real port: the application behind plain uvicorn, and behind the lane."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from rookery.serving.assemble import assemble
from rookery.serving.http import API_HEADER_LINES
from rookery.serving.lane import Lane
from rookery.serving.protocol import LaneProtocol
from rookery.settings import Settings
from rookery.telemetry.accumulator import WorkerMetrics
from tests.serving.conftest import PENGUIN

BODY = json.dumps(PENGUIN).encode()
JSON = {"content-type": "application/json"}


@dataclass
class Running:
    """A server in a thread of its own."""

    server: uvicorn.Server
    port: int

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, JSON | headers)
            response = connection.getresponse()
            response.payload = response.read()  # type: ignore[attr-defined]
        finally:
            connection.close()
        return response


@pytest.fixture(scope="module", params=["plain", "lane"])
def server(request: pytest.FixtureRequest, penguin_package: Path) -> Iterator[Running]:
    assembly = assemble(Settings(package=penguin_package), metrics=WorkerMetrics("server"))
    protocol: Any = "httptools"
    if request.param == "lane":
        protocol = partial(LaneProtocol, Lane(assembly.lane_routes, header_lines=API_HEADER_LINES))
    config = uvicorn.Config(
        assembly.app, http=protocol, loop="uvloop", ws="none", log_level="critical", server_header=False, lifespan="on"
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield Running(server, listener.getsockname()[1])
    server.should_exit = True
    thread.join(15)
    assert not thread.is_alive()
    assert assembly.state.stage.name == "DRAINING"


def test_predictions_and_errors_carry_the_same_headers_by_either_door(server: Running) -> None:
    ours = {"content-security-policy", "cache-control", "x-frame-options", "x-content-type-options", "referrer-policy"}
    for body, status in ((BODY, 200), (b"{", 422)):
        response = server.ask("POST", "/predict", body)
        assert response.status == status
        names = [name.lower() for name, _ in response.getheaders()]
        assert sorted(set(names)) == sorted(names), "no header comes twice"
        assert set(names) == ours | {"content-length", "content-type", "date", "x-request-id", "x-model-version"}
    assert response.getheader("content-type") == "application/json"


def test_a_client_that_sends_ten_megabytes_can_read_its_413(server: Running) -> None:
    response = server.ask("POST", "/predict", b"x" * 10_000_000)
    assert response.status == 413
    assert response.getheader("connection") == "close"
    assert b"2000000 bytes" in response.payload  # type: ignore[attr-defined]


def test_an_undeclared_ten_megabytes_are_413_as_well(server: Running) -> None:
    response = server.ask("POST", "/predict", iter([b"x" * 1_000_000] * 10))
    assert response.status == 413


def test_a_connection_goes_on_after_every_refusal_of_its_header(server: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    seen = []
    for path, headers in (
        ("/predict", {"content-type": "text/plain"}),
        ("/nothing", JSON),
        ("/health", JSON),
        ("/predict", JSON),
    ):
        connection.request("POST", path, BODY, headers)
        response = connection.getresponse()
        response.read()
        seen.append(response.status)
    connection.close()
    assert seen == [415, 404, 405, 200]


def test_the_pages_scripts_come_whole(server: Running) -> None:
    for name in ("swagger-ui-bundle.js", "redoc.standalone.js"):
        response = server.ask("GET", f"/docs/assets/{name}")
        assert response.status == 200
        assert len(response.payload) == int(response.getheader("content-length") or 0) > 500_000  # type: ignore[attr-defined]
        assert "javascript" in (response.getheader("content-type") or "")

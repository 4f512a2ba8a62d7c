"""`rookery serve` from an empty folder to a rollback, and what it refuses."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.cli.conftest import WINE, Command, run_command
from tests.servers import PATIENCE, ServerProcess

pytestmark = pytest.mark.xdist_group("workshop")


def wait_for_version(server: ServerProcess, version: str) -> None:
    """Poll until predictions are answered by a version."""
    deadline, seen = time.monotonic() + PATIENCE, ""
    while seen != version:
        assert time.monotonic() < deadline, f"version {seen} answers, not {version}:\n{server.output()[-3000:]}"
        time.sleep(0.05)
        reply = server.request("POST", "/predict", WINE)
        assert reply.status == 200
        seen = reply.headers["x-model-version"]


@pytest.fixture
def demo(servers: ServerProcess.Factory, workshop: Path) -> ServerProcess:
    """A server of the workshop's service, started without naming it."""
    return servers.serve(home=workshop / ".rookery", services_folder=str(workshop / "services"), workers="1")


def test_promote_and_rollback_reach_a_running_server(rookery: Command, demo: ServerProcess) -> None:
    for command, version in (
        (("promote", "demo", "1"), "1"),
        (("promote", "demo", "2"), "2"),
        (("rollback", "demo"), "1"),
    ):
        assert rookery(*command).code == 0
        wait_for_version(demo, version)


def test_a_starting_server_finds_out_what_the_registry_says_by_now(
    rookery: Command, servers: ServerProcess.Factory, workshop: Path
) -> None:
    """The home folder's traffic file names version 1; the registry was moved on by another machine."""
    traffic = workshop / ".rookery" / "traffic" / "demo.json"
    assert rookery("promote", "demo", "1").code == 0
    old = traffic.read_bytes()
    assert rookery("promote", "demo", "2").code == 0
    traffic.write_bytes(old)
    server = servers.serve("demo", home=workshop / ".rookery", services_folder=str(workshop / "services"), workers="1")
    wait_for_version(server, "2")


def test_a_home_that_knows_no_traffic_asks_the_registry_first(
    rookery: Command, servers: ServerProcess.Factory, workshop: Path
) -> None:
    shutil.rmtree(workshop / ".rookery" / "traffic")
    server = servers.serve(home=workshop / ".rookery", services_folder=str(workshop / "services"), workers="1")
    assert "Asking the registry" in server.output()
    assert server.request("POST", "/predict", WINE).json()["grower"] == "grower_0"


def test_a_service_without_a_version_waits_beside_the_others(
    rookery: Command, servers: ServerProcess.Factory, workshop: Path
) -> None:
    """Not named, it keeps nobody from being ready; one whose code is at fault is left out."""
    services = workshop / "services"
    try:
        assert rookery("new", "later").code == 0
        (services / "broken").mkdir()
        (services / "broken" / "service.py").write_text("raise RuntimeError('not yet')")
        server = servers.serve(home=workshop / ".rookery", services_folder=str(services), workers="1")
        assert server.request("GET", "/readyz").status == 200
        assert server.request("GET", "/health").status == 200
        assert server.request("POST", "/demo/predict", WINE).status == 200
        waiting = server.request("GET", "/later/health")
        assert waiting.status == 503
        assert "rookery train later" in waiting.json()["reason"]
        assert server.request("GET", "/broken/health").status == 404
        assert "later answers 503" in server.output()
    finally:
        shutil.rmtree(services / "later", ignore_errors=True)
        shutil.rmtree(services / "broken", ignore_errors=True)


def test_nothing_to_serve_is_11_and_says_how_to_begin(elsewhere: Command) -> None:
    assert "rookery new NAME" in elsewhere("serve").stderr
    assert elsewhere("serve").code == 11
    assert elsewhere("new", "demo").code == 0
    outcome = elsewhere("serve")
    assert outcome.code == 11
    assert "no service has a version yet" in outcome.stderr
    assert "rookery train" in outcome.stderr


def test_an_unknown_service_is_refused_with_the_nearest_one(workshop: Path) -> None:
    outcome = run_command(workshop, "serve", "dmeo", "--port", "0")
    assert outcome.code == 11
    assert "Did you mean demo?" in outcome.stderr
    assert run_command(workshop, "sync", "dmeo").code == 10
    assert not (workshop / ".rookery" / "traffic" / "dmeo.json").exists()


def test_a_folder_that_is_no_package_is_refused_before_anything_starts(elsewhere: Command) -> None:
    outcome = elsewhere("serve", "--package", ".", "--port", "0")
    assert outcome.code == 8
    assert "is no package" in outcome.stderr
    assert elsewhere("serve", "demo", "--package", ".").code == 11

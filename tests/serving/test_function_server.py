"""A service whose own code answers, on a real server beside a table's: crashes, slow senders, order, other code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rookery.serving.mount import lane_routes
from rookery.testing.forms import encode_form
from tests.package.functions import BODY, write_function
from tests.servers import PATIENCE, ROOKERY, Reply, ServerProcess, is_setting
from tests.services.pictures import lively
from tests.serving.conftest import PENGUIN, Workshop, serving
from tests.serving.lane.server import Reader

pytestmark = pytest.mark.xdist_group("pictures")

GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org")


def train(workshop: Workshop) -> None:
    """Register the code of `light` as it is now."""
    environment = {name: value for name, value in os.environ.items() if not is_setting(name)}
    environment |= {"ROOKERY_HOME": str(workshop.home), "ROOKERY_SERVICES_FOLDER": str(workshop.folder / "services")}
    done = subprocess.run(
        [ROOKERY, "train", "light"], env=environment, cwd=workshop.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A home with a table's service and one whose code answers."""
    workshop = Workshop(tmp_path_factory.mktemp("functions"))
    write_function(workshop.folder / "services")
    train(workshop)
    workshop.write_service("penguins")
    workshop.set_traffic("penguins", {"1": workshop.add_package("penguins")})
    return workshop


@pytest.fixture(scope="module")
def server(made: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Both services on one server, which waits a second for a body."""
    factory = ServerProcess.Factory(tmp_path_factory.mktemp("server"))
    folder = str(made.folder / "services")
    yield factory.serve("light", "penguins", home=made.home, services_folder=folder, workers="1", body_timeout="1")
    factory.stop_all()


def ask(server: ServerProcess, path: str = "/light/predict", *, number: int = 1, **texts: object) -> Reply:
    """Send a generated picture."""
    body, kind = encode_form("image", [("x.png", lively(number, width=40, height=30))], texts)
    return server.request("POST", path, body, headers={"Content-Type": kind})


def raw(path: str, body: bytes, kind: str) -> bytes:
    """Return a request as it goes over the wire."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def test_a_crash_is_500_without_its_reason_and_the_log_has_it(server: ServerProcess) -> None:
    reply = ask(server, factor=9)
    assert reply.status == 500
    assert reply.json() == {"detail": "light: the prediction failed"}
    assert "a secret of this code" in server.output()
    assert ask(server).status == 200


def test_a_crash_in_a_batch_takes_the_batch_and_nothing_else(server: ServerProcess) -> None:
    files = [("a.png", lively(1, width=40, height=30)), ("b.png", lively(2, width=40, height=30))]
    body, kind = encode_form("image", files, {"factor": 9})
    reply = server.request("POST", "/light/predict/batch", body, headers={"Content-Type": kind})
    assert reply.status == 500
    assert "secret" not in reply.body.decode()
    assert ask(server).status == 200


def test_a_body_that_stops_coming_is_408(server: ServerProcess) -> None:
    body, kind = encode_form("image", [("x.png", lively())])
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(raw("/light/predict", body, kind)[:-50])
        status, _, answer = Reader(connection).read()
    assert status == 408
    assert "did not arrive in time" in json.loads(answer)["detail"]


def test_tables_and_pictures_on_one_connection_are_answered_in_their_order(server: ServerProcess) -> None:
    row = json.dumps(PENGUIN).encode()
    body, kind = encode_form("image", [("x.png", lively(width=40, height=30))])
    table, picture = raw("/penguins/predict", row, "application/json"), raw("/light/predict", body, kind)
    order = [table, picture, table, table, picture, picture, table] * 5
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"".join(order))
        reader = Reader(connection)
        answers = [reader.read() for _ in order]
    assert {status for status, _, _ in answers} == {200}
    kinds = ["species" in json.loads(answer) for _, _, answer in answers]
    assert kinds == [request is table for request in order]


def test_pictures_never_enter_the_lane(made: Workshop) -> None:
    _, assembly = serving(made.settings, "light", "penguins")
    assert set(lane_routes(assembly.mounts)) == {b"/penguins/predict", b"/penguins/predict/batch"}


def test_json_and_odd_forms_are_refused_by_the_server(server: ServerProcess) -> None:
    inner = (
        b'--c\r\nContent-Disposition: form-data; name="image"; filename="y.png"\r\n\r\n' + lively() + b"\r\n--c--\r\n"
    )
    body, kind = encode_form("image", [("x.png", inner)])
    assert server.request("POST", "/light/predict", body, headers={"Content-Type": kind}).status == 400
    mixed = kind.replace("form-data", "mixed")
    assert server.request("POST", "/light/predict", body, headers={"Content-Type": mixed}).status == 415
    assert server.request("POST", "/light/predict", {"image": "x"}).status == 415
    assert server.request("POST", "/light/predict?factor", body, headers={"Content-Type": kind}).status == 400
    many, kind = encode_form("image", [("x.png", b"")] * 5_000)
    assert server.request("POST", "/light/predict", many, headers={"Content-Type": kind}).status == 400
    assert server.request("GET", "/readyz").status == 200


def test_info_says_that_code_answers(server: ServerProcess) -> None:
    info: dict[str, Any] = server.request("GET", "/light/info").json()
    assert info["task"]["kind"] == "function"
    assert info["picture"]["field"] == "image"
    assert info["configuration"]["cached"] is False
    assert [entry["name"] for entry in info["inputs"]] == ["factor"]
    assert "parameter_count" not in info


def test_changed_code_waits_for_its_registration_and_then_answers(
    servers: ServerProcess.Factory, workshop: Workshop
) -> None:
    """Refused with the commit to deploy, the server up; once registered, the running server answers by it."""
    workshop.folder.mkdir(exist_ok=True)
    services = workshop.folder / "services"
    write_function(services)
    for command in (("init", "-q"), ("add", "services"), ("commit", "-q", "-m", "light")):
        subprocess.run([*GIT, *command], cwd=workshop.folder, check=True)
    train(workshop)
    commit = subprocess.check_output([*GIT, "rev-parse", "HEAD"], cwd=workshop.folder, text=True).strip()
    write_function(services, f"{BODY} + 1000")
    server = servers.serve("light", home=workshop.home, services_folder=str(services), workers="1", ready="/livez")
    refused = ask(server, "/predict")
    assert refused.status == 503
    assert f"Deploy commit {commit}" in refused.json()["detail"]
    assert server.request("GET", "/health").json()["status"] == "unhealthy"
    train(workshop)
    deadline = time.monotonic() + PATIENCE
    while (reply := ask(server, "/predict")).status != 200:
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.1)
    assert reply.headers["x-model-version"] == "2"
    assert reply.json()["brightness"] > 1000

"""`rookery pull`: from an address with a digest to a version that a running server answers by."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rookery.testing.forms import encode_form
from tests.cli.conftest import Outcome, run_command
from tests.export.file_server import FileServer, alter, behaving, cut_after, serve
from tests.servers import PATIENCE, Reply, ServerProcess

pytestmark = pytest.mark.xdist_group("pictures")

ROOT = Path(__file__).resolve().parents[2]

WEIGHTS = '''"""Where the weights are, in this test."""

from rookery import Pretrained

WEIGHTS = {{
    "mobilenet_v2": Pretrained(
        url="{url}", sha256="{sha256}", size_bytes={size}, input="input", output="output",
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )
}}
'''


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def weights_server(mobilenet: Path) -> Iterator[FileServer]:
    """A server of the real weights."""
    with behaving(mobilenet.read_bytes(), serve) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, weights_server: FileServer) -> Path:
    """A folder with the images service, whose weights are at the server."""
    folder = tmp_path / "services" / "images"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "services" / "images" / "service.py", folder)
    data = weights_server.data
    text = WEIGHTS.format(url=weights_server.url, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    (folder / "weights.py").write_text(text)
    return tmp_path


def pull(place: Path, *arguments: str, **settings: Any) -> Outcome:
    return run_command(place, "pull", "images", *arguments, **settings)


def ask(server: ServerProcess, picture: Path) -> Reply:
    body, kind = encode_form("file", [(picture.name, picture.read_bytes())])
    return server.request("POST", "/predict", body, headers={"Content-Type": kind})


def test_a_running_server_answers_by_what_was_pulled(
    place: Path, pictures: Path, servers: ServerProcess.Factory
) -> None:
    server = servers.serve(
        "images", home=place / ".rookery", services_folder=str(place / "services"), workers="1", ready="/livez"
    )
    before = ask(server, pictures / "dog.jpg")
    assert before.status == 503
    assert "rookery pull images" in before.json()["detail"]
    outcome = pull(place, "--arch", "mobilenet_v2", "--json")
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["version"] == "1"
    deadline = time.monotonic() + PATIENCE
    while ask(server, pictures / "dog.jpg").status != 200:
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.1)
    told = [ask(server, pictures / name).json()["predictions"][0]["class"] for name in ("dog.jpg", "cat.jpg")]
    assert told == ["golden_retriever", "egyptian_cat"]
    assert server.request("GET", "/readyz").status == 200


def test_what_was_cut_off_is_taken_up_by_the_next_call(place: Path, weights_server: FileServer) -> None:
    weights_server.behaviours = [cut_after(100_000) for _ in range(5)]
    failed = pull(place)
    assert failed.code == 13
    assert "cannot be fetched" in failed.stderr
    assert not (place / ".rookery" / "traffic").exists()
    weights_server.behaviours = [cut_after(4_000_000), serve]
    outcome = pull(place)
    assert outcome.code == 0, outcome.stderr
    assert "mobilenet_v2 is version 1" in outcome.stdout
    asked = [wanted for wanted in weights_server.ranges() if wanted]
    assert asked[-1] == "bytes=4500000-"
    requests = len(weights_server.requests)
    assert pull(place).code == 0
    assert len(weights_server.requests) == requests


def test_a_wrong_byte_is_refused_and_nothing_is_registered(place: Path, weights_server: FileServer) -> None:
    weights_server.behaviours = [alter]
    outcome = pull(place)
    assert outcome.code == 13
    assert "SHA-256" in outcome.stderr
    assert not list((place / ".rookery" / "weights").glob("*.onnx*"))
    assert run_command(place, "models", "show", "images").code != 0


def test_mirrors_are_asked_first(place: Path, weights_server: FileServer) -> None:
    with behaving(weights_server.data, serve) as mirror:
        outcome = pull(place, ROOKERY_MIRRORS=mirror.base)
        assert outcome.code == 0, outcome.stderr
        assert len(mirror.requests) == 1
    assert not weights_server.requests


def test_a_file_that_is_here_needs_no_server(place: Path, mobilenet: Path, weights_server: FileServer) -> None:
    outcome = pull(place, "--weights", str(mobilenet), "--no-promote")
    assert outcome.code == 0, outcome.stderr
    assert "rookery promote images 1" in outcome.stdout
    assert "answer for it" not in outcome.stderr
    other = place / "other.onnx"
    other.write_bytes(mobilenet.read_bytes() + b"\x9a\x01\x00")
    assert "you answer for it" in pull(place, "--weights", str(other)).stderr
    assert not weights_server.requests


def test_faults_are_told_in_a_line(place: Path) -> None:
    assert "Choose from mobilenet_v2" in pull(place, "--arch", "vgg").stderr
    assert pull(place, "--weights", "nowhere.onnx").code == 8
    (place / "text.onnx").write_text("no graph")
    refused = pull(place, "--weights", "text.onnx")
    assert refused.code == 8
    assert "ONNX" in refused.stderr
    assert run_command(place, "new", "demo").code == 0
    assert "declares no pretrained weights" in run_command(place, "pull", "demo").stderr

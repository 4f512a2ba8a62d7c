"""`rookery pull`: from an address with a digest to a version that a running server answers by."""

from __future__ import annotations

import hashlib
import os
import pty
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from rookery.testing.forms import encode_form
from tests.cli.conftest import Outcome, run_command
from tests.export.classifiers import CHANNELS, classifier
from tests.export.file_server import FileServer, alter, answer, behaving, cut_after, serve
from tests.servers import PATIENCE, ROOKERY, Reply, ServerProcess

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


def registered(place: Path) -> list[tuple[str, list[str]]]:
    """Return the versions in the registry with their aliases, newest first."""
    listed = run_command(place, "models", "images", "--json").json()
    return [(entry["version"], entry["aliases"]) for entry in listed]


def kept(place: Path) -> list[str]:
    """Return what is left of downloads."""
    return sorted(path.name for path in (place / ".rookery" / "weights").glob("*.onnx*"))


def ask(server: ServerProcess, picture: Path) -> Reply:
    body, kind = encode_form("file", [(picture.name, picture.read_bytes())])
    return server.request("POST", "/predict", body, headers={"Content-Type": kind})


# From an address to an answer


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
    assert server.request("GET", "/info").json()["parameter_count"] == 3_487_816


def test_what_was_pulled_is_champion_and_said_in_one_line_or_as_json(place: Path, weights_server: FileServer) -> None:
    outcome = pull(place)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stdout == "images: mobilenet_v2 is version 1, and champion\n"
    assert registered(place) == [("1", ["champion"])]
    assert kept(place) == [weights_server.url.rpartition("/")[2]]
    second = pull(place, "--json")
    assert second.code == 0, second.stderr
    told = second.json()
    digest = run_command(place, "models", "show", "images", told["version"], "--json").json()["content_digest"]
    assert told == {
        "service": "images",
        "architecture": "mobilenet_v2",
        "version": told["version"],
        "content_digest": digest,
    }
    # What is there is not fetched again.
    assert len(weights_server.requests) == 1


# Servers that fail


def test_what_is_cut_off_is_taken_up_within_the_call(place: Path, weights_server: FileServer) -> None:
    weights_server.behaviours = [cut_after(4_000_000), serve]
    outcome = pull(place)
    assert outcome.code == 0, outcome.stderr
    assert weights_server.ranges() == [None, "bytes=4000000-"]
    assert kept(place) == ["model.onnx"]


def test_what_was_cut_off_is_taken_up_by_the_next_call(place: Path, weights_server: FileServer) -> None:
    weights_server.behaviours = [cut_after(100_000) for _ in range(5)]
    failed = pull(place)
    assert failed.code == 13
    assert "cannot be fetched" in failed.stderr
    assert kept(place) == ["model.onnx.part"]
    assert not (place / ".rookery" / "traffic").exists()
    weights_server.behaviours = [serve]
    outcome = pull(place)
    assert outcome.code == 0, outcome.stderr
    assert "mobilenet_v2 is version 1" in outcome.stdout
    assert weights_server.ranges()[-1] == "bytes=500000-"
    assert kept(place) == ["model.onnx"]


def test_a_wrong_byte_is_refused_and_nothing_is_registered(place: Path, weights_server: FileServer) -> None:
    weights_server.behaviours = [alter]
    outcome = pull(place)
    assert outcome.code == 13
    assert outcome.stdout == ""
    assert "SHA-256" in outcome.stderr
    assert "mirror" in outcome.stderr
    assert kept(place) == []
    assert registered(place) == []
    weights_server.behaviours = [serve]
    assert pull(place).code == 0
    assert registered(place) == [("1", ["champion"])]


def test_a_file_that_decayed_is_fetched_again(place: Path, weights_server: FileServer) -> None:
    assert pull(place, "--no-promote").code == 0
    file = place / ".rookery" / "weights" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    assert pull(place).code == 0
    assert len(weights_server.requests) == 2
    assert file.read_bytes() == weights_server.data


def test_mirrors_are_asked_first(place: Path, weights_server: FileServer) -> None:
    with behaving(weights_server.data, serve) as mirror:
        outcome = pull(place, ROOKERY_MIRRORS=f"{mirror.base}/copies/")
        assert outcome.code == 0, outcome.stderr
        assert [request["path"] for request in mirror.requests] == ["/copies/model.onnx"]
    assert not weights_server.requests


def test_mirrors_have_no_say_in_what_the_file_is(place: Path, weights_server: FileServer) -> None:
    """One without the file and one with another file are passed by; the file's own address is the last resort."""
    with (
        behaving(weights_server.data, answer(404)) as empty,
        behaving(weights_server.data, alter) as wrong,
    ):
        outcome = pull(place, ROOKERY_MIRRORS=f"{empty.base},{wrong.base}")
        assert outcome.code == 0, outcome.stderr
        assert (len(empty.requests), len(wrong.requests)) == (1, 1)
    assert len(weights_server.requests) == 1


# Files that are here


def test_a_file_that_is_here_needs_no_server(place: Path, mobilenet: Path, weights_server: FileServer) -> None:
    outcome = pull(place, "--weights", str(mobilenet))
    assert outcome.code == 0, outcome.stderr
    assert "answer for it" not in outcome.stderr
    other = place / "other.onnx"
    # A field that no reader knows: other bytes, the same graph.
    other.write_bytes(mobilenet.read_bytes() + b"\x9a\x01\x00")
    replaced = pull(place, "--weights", "other.onnx", "--json")
    assert replaced.code == 0, replaced.stderr
    assert hashlib.sha256(other.read_bytes()).hexdigest()[:12] in replaced.stderr
    assert "you answer for it" in replaced.stderr
    assert replaced.json()["version"] == "2"
    assert not weights_server.requests
    assert not (place / ".rookery" / "weights").exists()


def test_what_is_not_promoted_changes_nothing_for_servers(place: Path, mobilenet: Path) -> None:
    outcome = pull(place, "--weights", str(mobilenet), "--no-promote")
    assert outcome.code == 0, outcome.stderr
    assert "rookery promote images 1" in outcome.stdout
    assert registered(place) == [("1", [])]
    assert not (place / ".rookery" / "traffic").exists()
    assert run_command(place, "promote", "images", "1").code == 0
    assert registered(place) == [("1", ["champion"])]
    assert pull(place, "--weights", str(mobilenet), "--no-promote").code == 0
    assert ("1", ["champion"]) in registered(place)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (None, "No such file"),
        (Path.mkdir, "Is a directory"),
        (lambda file: file.write_text("no graph"), "ONNX"),
        (lambda file: file.write_bytes(b""), "ONNX"),
        (lambda file: file.write_bytes(few_labels()), "[N, 10], expected is [N, 1000]"),
        (lambda file: file.write_bytes(classifier()), "inputs are x, declared is 'input'"),
    ],
    ids=["missing", "folder", "text", "empty", "ten labels", "other tensors"],
)
def test_a_file_that_is_no_such_model_is_refused(place: Path, make: Callable[[Path], Any] | None, reason: str) -> None:
    if make is not None:
        make(place / "given.onnx")
    refused = pull(place, "--weights", "given.onnx")
    assert refused.code == 8, refused.stderr
    assert reason in refused.stderr
    assert "Traceback" not in refused.stderr
    assert registered(place) == []
    assert not list((place / ".rookery").glob("pull-*"))


def few_labels() -> bytes:
    """Return a graph that reads what MobileNetV2 reads, and answers ten scores."""

    def bend(model: ModelProto) -> None:
        (read,), (told,) = model.graph.input, model.graph.output
        model.graph.node[0].input[0], model.graph.node[-1].output[0] = "input", "output"
        last = next(tensor for tensor in model.graph.initializer if tensor.name == "last")
        last.CopyFrom(numpy_helper.from_array(np.ones((CHANNELS, 10), np.float32), "last"))
        read.CopyFrom(helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3, 224, 224]))
        told.CopyFrom(helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 10]))

    return classifier(bend=bend)


def test_faults_of_the_command_line_are_told_in_a_line(place: Path, weights_server: FileServer) -> None:
    unknown = pull(place, "--arch", "vgg")
    assert unknown.code == 4
    assert "Choose from mobilenet_v2" in unknown.stderr
    assert "Did you mean images?" in run_command(place, "pull", "imges").stderr
    assert run_command(place, "new", "demo").code == 0
    untrained = run_command(place, "pull", "demo")
    assert untrained.code == 4
    assert "declares no pretrained weights. Train it: rookery train demo" in untrained.stderr
    assert run_command(place, "train", "images").stderr.startswith("images is not trained: `rookery pull images`")
    assert not weights_server.requests


# What is seen of it


@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["for persons", "as JSON"])
def test_progress_is_shown_on_a_terminal_alone(place: Path, arguments: tuple[str, ...]) -> None:
    """A bar with the file's size on a terminal; none beside JSON, and none where stderr is a file."""
    shown, stdout = run_on_terminal(place, "pull", "images", *arguments)
    assert ("━" in shown, "14.0/14.0 MB" in shown) == ((True, True) if not arguments else (False, False))
    assert "Packaging mobilenet_v2" in shown
    assert "━" not in stdout
    assert "mobilenet_v2" in stdout
    (place / ".rookery" / "weights" / "model.onnx").unlink()
    assert "━" not in pull(place, "--no-promote").stderr


def run_on_terminal(folder: Path, *arguments: str) -> tuple[str, str]:
    """Run a command whose stderr is a terminal; returns what this shows, and stdout."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LANG": "C.UTF-8"}
    with subprocess.Popen(
        [ROOKERY, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        parts: list[bytes] = []
        # Reading a terminal whose other side is closed is an error on Linux.
        with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:
            while part := terminal.read(65_536):
                parts.append(part)
        assert process.stdout is not None
        stdout = process.stdout.read().decode()
        assert process.wait(PATIENCE) == 0, b"".join(parts)
    return b"".join(parts).decode(errors="replace"), stdout

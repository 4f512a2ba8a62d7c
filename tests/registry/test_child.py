"""The child process that synchronises, so that nobody else imports MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rookery.errors import RegistryError, RegistryUnavailable
from rookery.registry.base import Registry
from rookery.registry.promotion import promote
from rookery.registry.sync import main, sync_in_child
from rookery.registry.traffic import read_traffic_file, traffic_path
from tests.registry.conftest import MakePackage


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (
            "rookery.registry.traffic rookery.registry.base rookery.registry.child",
            ("mlflow", "sqlalchemy", "alembic", "onnx", "onnxruntime", "sklearn", "pandas"),
        ),
        (
            "rookery.registry.sync rookery.registry.connect rookery.registry.promotion rookery.registry.memory",
            ("mlflow", "sqlalchemy", "alembic", "onnx", "onnxruntime", "sklearn", "pandas"),
        ),
    ],
)
def test_nobody_imports_mlflow_who_only_reads_traffic_or_starts_the_child(
    modules: str, absent: tuple[str, ...]
) -> None:
    code = f"import sys; import {', '.join(modules.split())}; print(sorted(set({absent!r}) & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_child_synchronises_and_reports(
    embedded: Registry, embedded_home: Path, make_package: MakePackage, service: str
) -> None:
    embedded.register(make_package())
    promote(embedded, service, "1")
    report = sync_in_child(embedded_home)
    assert [(done.service, done.champion, done.downloaded) for done in report.services] == [(service, "1", ("1",))]
    content = read_traffic_file(traffic_path(embedded_home, service))
    assert content is not None
    assert content.revision == report.services[0].revision


def test_the_command_prints_one_line_of_json(
    embedded: Registry, embedded_home: Path, make_package: MakePackage, service: str
) -> None:
    embedded.register(make_package())
    promote(embedded, service, "1")
    command = [sys.executable, "-m", "rookery.registry.sync", "--home", str(embedded_home), service]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (line,) = ran.stdout.splitlines()
    assert json.loads(line)["report"]["services"][0]["champion"] == "1"


def test_a_child_whose_registry_is_down_raises_what_it_raised(home: Path, free_port: int) -> None:
    with pytest.raises(RegistryUnavailable, match=rf"127\.0\.0\.1:{free_port}"):
        sync_in_child(home, tracking_uri=f"http://127.0.0.1:{free_port}")
    assert not (home / "traffic").exists()


def test_a_child_that_takes_too_long_is_ended(home: Path) -> None:
    """No interpreter starts within a millisecond."""
    with pytest.raises(RegistryUnavailable, match=r"within 0\.001 s"):
        sync_in_child(home, timeout=0.001)


def test_a_child_that_cannot_even_start_says_what_it_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter without its library ends before it could print any JSON."""
    monkeypatch.setenv("PYTHONHOME", str(home))
    with pytest.raises(RegistryError, match="process ended with code 1"):
        sync_in_child(home)


def test_what_a_child_was_told_wrongly_is_said(home: Path) -> None:
    with pytest.raises(RegistryError, match="ROOKERY_TRACKING_URI"):
        sync_in_child(home, tracking_uri="ftp://nowhere")


def test_errors_are_one_line_of_json_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "registry").write_text("a file in the registry's place")
    assert main(["--home", str(home), "iris"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["error"]["kind"] == "RegistryUnavailable"

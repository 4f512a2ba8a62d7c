from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from rookery import errors
from rookery.cli.failures import EXIT_CODES, exit_code_of
from rookery.cli.main import will_serve
from rookery.errors import GoldenMismatch, RookeryError, SettingError
from tests.cli.conftest import Command
from tests.servers import ROOKERY

COMMANDS = (
    "new", "train", "serve", "predict", "package", "models", "promote", "rollback", "verify", "export", "import",
    "sync", "doctor",
)  # fmt: skip
HEAVY = (
    "mlflow", "sklearn", "scipy", "xgboost", "lightgbm", "pandas", "matplotlib", "onnx", "fastapi", "starlette",
    "uvicorn", "onnxruntime", "rich", "psutil", "pydantic", "numpy",
)  # fmt: skip


def test_help_names_every_command(elsewhere: Command) -> None:
    outcome = elsewhere("--help")
    assert outcome.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in outcome.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(command: str, elsewhere: Command) -> None:
    outcome = elsewhere(command, "--help")
    assert outcome.code == 0
    assert outcome.stdout.startswith("Usage: ")


def test_help_loads_nothing_heavy() -> None:
    program = f"import sys, rookery.cli.app; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_supervisor_loads_nothing_that_only_its_workers_need() -> None:
    program = f"import sys, rookery.supervisor.supervisor; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["serve"], ["serve", "iris"], ["serve", "--port", "0"]])
def test_a_command_line_that_serves_launches_its_first_worker_early(arguments: list[str]) -> None:
    assert will_serve(arguments)


@pytest.mark.parametrize("arguments", [[], ["train"], ["train", "serve"], ["serve", "--help"], ["serve", "-h"]])
def test_no_other_command_line_does(arguments: list[str]) -> None:
    assert not will_serve(arguments)


def test_a_server_that_cannot_start_leaves_no_worker_behind(tmp_path: Path) -> None:
    done = subprocess.run([ROOKERY, "serve", "--port", "nonsense"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == EXIT_CODES[SettingError]
    # A worker that lived on would still hold the other end of stderr: it would not have ended yet.
    assert done.stderr.count("\n") == 1
    workers = [p for p in psutil.process_iter(["cmdline", "cwd"]) if p.info["cwd"] == str(tmp_path)]
    assert workers == []


def test_the_version_is_told(elsewhere: Command) -> None:
    assert elsewhere("--version").stdout.startswith("rookery ")


def test_every_error_has_an_exit_code_and_a_more_special_one_its_ancestors() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RookeryError)]
    assert len(kinds) > 15
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert exit_code_of(GoldenMismatch("x")) == EXIT_CODES[errors.PackageError]
    assert exit_code_of(SettingError("x")) == EXIT_CODES[SettingError]


def test_an_error_is_one_line_without_a_traceback_unless_asked_for(elsewhere: Command) -> None:
    outcome = elsewhere("serve", "demo")
    assert outcome.code == 11
    assert outcome.stderr.startswith("Error: there is no service 'demo'")
    assert outcome.stderr.count("\n") == 1
    assert outcome.stdout == ""
    for shown in (elsewhere("--debug", "serve", "demo"), elsewhere("serve", "demo", ROOKERY_DEBUG="on")):
        assert "Traceback" in shown.stderr
        assert shown.code == 11


def test_a_wrong_command_line_is_2_and_a_wrong_setting_is_3(elsewhere: Command) -> None:
    assert elsewhere("serve", "--nonsense").code == 2
    assert elsewhere("nonsense").code == 2
    outcome = elsewhere("doctor", ROOKERY_WORKERS="many", PORT="x")
    assert outcome.code == 3
    assert "ROOKERY_WORKERS='many' is not allowed: workers is a whole number from 1 to 256" in outcome.stderr
    assert "PORT='x' is not allowed" in outcome.stderr


def test_the_command_is_installed(tmp_path: Path) -> None:
    done = subprocess.run([ROOKERY, "--version"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.startswith("rookery ")

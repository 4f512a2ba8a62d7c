"""Commands run in this process, in a folder with one trained service that all tests of this room share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rookery.cli.app import app

WINE = {"alcohol": 13.2, "flavanoids": 2.76, "color_intensity": 4.38, "proline": 1050}


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Return stdout, which must hold JSON and nothing else."""
        return json.loads(self.stdout)


Command = Callable[..., Outcome]


def run_command(folder: Path, *arguments: str, stdin: bytes | None = None, **settings: str) -> Outcome:
    """Run `rookery …` in a folder, with settings for the environment; an escaping exception fails the test."""
    former, before = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    try:
        result = CliRunner().invoke(app, list(arguments), input=stdin, env={**settings}, catch_exceptions=False)
    finally:
        os.chdir(former)
        os.environ.clear()
        os.environ.update(before)
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the service `demo`, made by `rookery new` and trained into two versions."""
    folder = tmp_path_factory.mktemp("workshop")
    for arguments in (["new", "demo"], ["train", "demo"], ["train", "demo", "--force"]):
        outcome = run_command(folder, *arguments)
        assert outcome.code == 0, outcome.stderr
    return folder


@pytest.fixture
def rookery(workshop: Path) -> Command:
    """Run commands in the workshop."""

    def run(*arguments: str, stdin: bytes | None = None, **settings: str) -> Outcome:
        return run_command(workshop, *arguments, stdin=stdin, **settings)

    return run


@pytest.fixture
def elsewhere(tmp_path: Path) -> Command:
    """Run commands in an empty folder."""

    def run(*arguments: str, stdin: bytes | None = None, **settings: str) -> Outcome:
        return run_command(tmp_path, *arguments, stdin=stdin, **settings)

    return run

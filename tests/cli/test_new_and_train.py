from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command, run_command

pytestmark = pytest.mark.xdist_group("workshop")


def test_new_writes_a_complete_service_of_at_most_80_lines_and_says_what_comes_next(
    elsewhere: Command, tmp_path: Path
) -> None:
    outcome = elsewhere("new", "wine-quality")
    assert outcome.code == 0
    assert "rookery train wine-quality" in outcome.stderr
    source = (tmp_path / "services" / "wine-quality" / "service.py").read_text()
    assert len(source.splitlines()) <= 80
    assert 'name="wine-quality"' in source
    assert 'title="Wine quality"' in source
    imported = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert {module for module in imported if module and module.startswith("rookery")} == {"rookery"}


def test_new_refuses_a_folder_that_exists_and_leaves_it_alone(elsewhere: Command, tmp_path: Path) -> None:
    folder = tmp_path / "services" / "demo"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    outcome = elsewhere("new", "demo")
    assert outcome.code == 4
    assert "exists already" in outcome.stderr
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["Demo", "1demo", "../demo", "de mo", "x" * 64, ""])
def test_new_refuses_what_cannot_be_a_name(name: str, elsewhere: Command, tmp_path: Path) -> None:
    assert elsewhere("new", name).code == 4
    assert not (tmp_path / "services").exists()


def test_the_new_service_keeps_the_contract_that_its_own_test_checks(workshop: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "services/demo/test_service.py"],
        cwd=workshop,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_training_again_is_skipped_while_the_definition_is_the_same(rookery: Command) -> None:
    outcome = rookery("train", "--json")
    assert outcome.code == 0
    assert outcome.json() == [{"service": "demo", "skipped": True}]
    assert "demo is current" in outcome.stderr


def test_training_reports_its_candidates_as_json_and_nothing_else_on_stdout(workshop: Path, tmp_path: Path) -> None:
    (report,) = run_command(workshop, "train", "demo", "--json", ROOKERY_HOME=str(tmp_path / "home")).json()
    assert report["service"] == "demo"
    assert report["version"]["version"] == "1"
    assert report["alias"] == "champion"
    assert set(report["candidates"]) == {"logistic", "forest"}
    assert report["scores"]["accuracy"] >= 0.85


def test_a_service_that_cannot_be_trained_does_not_stop_the_others(tmp_path: Path) -> None:
    assert run_command(tmp_path, "new", "good").code == 0
    assert run_command(tmp_path, "new", "bad").code == 0
    file = tmp_path / "services" / "bad" / "service.py"
    file.write_text(file.read_text().replace("Gate(accuracy=0.85)", "Gate(accuracy=1.0)"))
    outcome = run_command(tmp_path, "train", "--json")
    assert outcome.code == 7
    bad, good = outcome.json()
    assert "misses its gate" in bad["error"]
    assert good["version"]["version"] == "1"
    assert [entry["service"] for entry in run_command(tmp_path, "models", "--json").json()] == ["good"]


def test_an_unknown_service_is_refused_with_the_nearest_one(rookery: Command) -> None:
    outcome = rookery("train", "dmeo")
    assert outcome.code == 4
    assert "Did you mean demo?" in outcome.stderr
    assert rookery("train", "demo", "--all").code == 2


def test_an_empty_folder_says_how_to_begin(elsewhere: Command) -> None:
    outcome = elsewhere("train")
    assert outcome.code == 4
    assert "rookery new" in outcome.stderr

"""`rookery predict`, `verify` and `doctor` for services that take pictures."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import run_command
from tests.services.pictures import write_digit

pytestmark = pytest.mark.xdist_group("pictures")

SERVICES = str(Path(__file__).resolve().parents[2] / "services")


@pytest.fixture
def settings(picture_home: Path) -> dict[str, Any]:
    """Settings for a home where digits and features have a version."""
    return {"ROOKERY_HOME": str(picture_home), "ROOKERY_SERVICES_FOLDER": SERVICES}


def test_pictures_are_answered_without_a_server(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "seven.png").write_bytes(write_digit(7))
    (tmp_path / "text.png").write_bytes(b"no picture")
    one = run_command(tmp_path, "predict", "digits", "seven.png", **settings)
    assert set(one.json()) >= {"digit", "confidence"}
    keypoints = run_command(tmp_path, "predict", "features", "seven.png", "--set", "max_keypoints=2", **settings)
    assert 1 <= keypoints.json()["num_keypoints"] <= 3
    both = run_command(tmp_path, "predict", "digits", "seven.png", "text.png", "--json", **settings)
    assert both.code == 12
    assert "1 of 2 pictures were refused, the first is picture 2" in both.stderr
    assert run_command(tmp_path, "predict", "features", "seven.png", "--set", "x", **settings).code == 2


def test_a_functions_package_is_verified_by_the_code_that_is_here(
    picture_home: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Without the code, its digests still are."""
    here = run_command(tmp_path, "verify", "features", **settings)
    assert here.code == 0, here.stderr
    assert "20 golden cases" in here.stdout
    elsewhere = run_command(tmp_path, "verify", "features", ROOKERY_HOME=str(picture_home), stdin=None)
    assert elsewhere.code == 0, elsewhere.stderr
    assert "digests verified" in elsewhere.stdout
    assert "its package opens: 20 golden cases" in run_command(tmp_path, "doctor", **settings).stdout


def test_several_pictures_are_a_table_or_a_list_as_rows_are(settings: dict[str, Any], tmp_path: Path) -> None:
    """A refused one has its own line and takes no other with it; a bad parameter refuses all of them."""
    for digit in (1, 7):
        (tmp_path / f"{digit}.png").write_bytes(write_digit(digit))
    (tmp_path / "text.png").write_bytes(b"no picture")
    names = ["1.png", "text.png", "7.png"]
    shown = run_command(tmp_path, "predict", "digits", *names, **settings)
    assert shown.code == 12
    table = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert [bool(row["digit"]) for row in table] == [True, False, True]
    assert "text file" in table[1]["error"]
    listed = run_command(tmp_path, "predict", "digits", "1.png", "7.png", "--json", **settings)
    assert [set(answer) >= {"digit", "probabilities"} for answer in listed.json()] == [True, True]
    from_pipe = run_command(tmp_path, "predict", "digits", stdin=write_digit(7), **settings)
    assert from_pipe.json() == listed.json()[1]
    typo = run_command(tmp_path, "predict", "features", "7.png", "--set", "max_keypoint=2", **settings)
    assert typo.code == 12
    assert "did you mean max_keypoints" in typo.stderr
    assert run_command(tmp_path, "predict", "digits", "nowhere.png", **settings).code == 5


def test_other_code_and_altered_bytes_do_not_verify(
    picture_home: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    (package,) = [
        manifest.parent
        for manifest in (picture_home / "packages").glob("*/manifest.json")
        if json.loads(manifest.read_bytes())["service"] == "features"
    ]
    code = tmp_path / "services" / "features" / "service.py"
    code.parent.mkdir(parents=True)
    code.write_text((Path(SERVICES) / "features" / "service.py").read_text() + "\n# other\n")
    assert run_command(tmp_path, "verify", "--package", str(package), **settings).code == 0
    other = run_command(tmp_path, "verify", "--package", str(package))
    assert other.code == 8
    assert "other code" in other.stderr
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    (copy / "golden.jsonl").chmod(0o644)
    (copy / "golden.jsonl").write_bytes((package / "golden.jsonl").read_bytes()[:-1])
    for place in (SERVICES, str(tmp_path / "none")):
        altered = run_command(tmp_path, "verify", "--package", str(copy), ROOKERY_SERVICES_FOLDER=place)
        assert altered.code == 8
        assert "golden.jsonl" in altered.stderr

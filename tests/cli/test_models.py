from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Command, run_command

pytestmark = pytest.mark.xdist_group("workshop")


def test_models_lists_versions_newest_first_for_persons_and_as_json(rookery: Command) -> None:
    listed = rookery("models", "--json").json()
    assert [entry["version"] for entry in listed if entry["service"] == "demo"][-2:] == ["2", "1"]
    assert rookery("models", "demo", "--json").json() == listed
    table = rookery("models").stdout
    assert "demo" in table
    assert "champion" in table


def test_models_show_tells_all_of_one_version(rookery: Command) -> None:
    shown = rookery("models", "show", "demo", "1", "--json").json()
    assert shown["manifest"]["content_digest"] == shown["content_digest"]
    text = rookery("models", "show", "demo", "1").stdout
    assert text.startswith("# Demo")
    assert "Version 1 of demo" in text


def test_two_trainings_of_the_same_data_have_the_same_content(rookery: Command) -> None:
    first, second = (rookery("models", "show", "demo", version, "--json").json() for version in ("1", "2"))
    assert first["content_digest"] == second["content_digest"]


@pytest.mark.parametrize(
    "command", [("models", "show", "demo", "99"), ("promote", "demo", "99"), ("verify", "demo", "99")]
)
def test_a_version_that_is_not_there_is_10(command: tuple[str, ...], rookery: Command) -> None:
    outcome = rookery(*command)
    assert outcome.code == 10
    assert "demo has no version 99" in outcome.stderr


def test_nothing_registered_is_an_error_that_says_so(elsewhere: Command) -> None:
    outcome = elsewhere("models")
    assert outcome.code == 8
    assert "rookery train" in outcome.stderr
    assert elsewhere("models", "--json").json() == []


def test_promote_and_rollback_move_the_champion_and_reach_the_servers(rookery: Command, workshop: Path) -> None:
    from rookery.registry.traffic import read_traffic_file, traffic_path

    def served() -> str | None:
        content = read_traffic_file(traffic_path(workshop / ".rookery", "demo"))
        return None if content is None else content.traffic.champion

    assert rookery("promote", "demo", "2").code == 0
    promoted = rookery("promote", "demo", "1", "--json").json()
    assert promoted["version"] == "1"
    assert "champion" in promoted["aliases"]
    assert served() == "1"
    outcome = rookery("rollback", "demo")
    assert outcome.stdout == "demo: version 2 (demo) is champion\n"
    assert served() == "2"


def test_sync_brings_the_champion_to_a_fresh_traffic_folder(rookery: Command, workshop: Path) -> None:
    shutil.rmtree(workshop / ".rookery" / "traffic")
    (synced,) = rookery("sync", "--json").json()["services"]
    assert (synced["service"], synced["changed"]) == ("demo", True)
    assert (workshop / ".rookery" / "traffic" / "demo.json").is_file()
    assert rookery("sync", "demo").stdout.startswith("demo: version ")


def test_verify_opens_every_version(rookery: Command) -> None:
    results = rookery("verify", "demo", "--json").json()
    assert len(results) >= 2
    assert all(result["problem"] == "" for result in results)
    assert rookery("verify", "demo", "1").stdout.startswith("demo version 1: opens")
    assert rookery("verify", "champion-less").code == 8
    assert rookery("verify").code == 2


def test_verify_names_the_file_that_was_altered(penguins_package: Path, package_copy: Path, elsewhere: Command) -> None:
    assert elsewhere("verify", "--package", str(penguins_package)).code == 0
    model = bytearray((package_copy / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (package_copy / "model.onnx").write_bytes(model)
    outcome = elsewhere("verify", "--package", str(package_copy), "--json")
    assert outcome.code == 8
    assert "model.onnx" in outcome.json()[0]["problem"]
    assert "model.onnx" in outcome.stderr


def test_a_version_travels_in_a_file_to_another_registry_and_back_to_serving(workshop: Path, tmp_path: Path) -> None:
    archive = tmp_path / "demo.tar.gz"
    assert run_command(workshop, "export", "demo", "1", "--out", str(archive)).code == 0
    assert run_command(workshop, "export", "demo", "1", "--out", str(archive)).code == 9
    other = tmp_path / "other"
    other.mkdir()
    imported = run_command(other, "import", str(archive), "--json").json()
    assert (imported["service"], imported["version"]) == ("demo", "1")
    assert run_command(other, "promote", "demo", "1").code == 0
    shown = run_command(workshop, "models", "show", "demo", "1", "--json").json()
    assert imported["content_digest"] == shown["content_digest"]


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"nothing of the kind" * 100)
    outcome = run_command(tmp_path, "import", "x.tar")
    assert outcome.code == 8
    assert run_command(tmp_path, "models", "--json").json() == []

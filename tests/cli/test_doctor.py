from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from rookery.cli.check_machine import check_machine
from rookery.settings import Settings
from rookery.supervisor.binding import open_socket
from tests.cli.conftest import Command, Outcome, run_command

pytestmark = pytest.mark.xdist_group("workshop")


def _findings(outcome: Outcome) -> dict[tuple[str, str], dict[str, Any]]:
    return {(finding["area"], finding["name"]): finding for finding in outcome.json()["findings"]}


@pytest.fixture
def free(free_port: int) -> str:
    return str(free_port)


def test_a_healthy_workshop_has_nothing_wrong(rookery: Command, free: str) -> None:
    outcome = rookery("doctor", "--json", ROOKERY_PORT=free)
    assert outcome.json()["ok"] is True, outcome.stdout
    assert outcome.code == 0
    found = _findings(outcome)
    assert found["services", "demo"]["detail"] == "loads; 178 rows of data"
    assert found["registry", "registry"]["status"] == "ok"
    assert found["home", "traffic of demo"]["status"] == "ok"
    assert found["settings", "port"]["detail"] == f"{free} is free"
    text = rookery("doctor", ROOKERY_PORT=free)
    assert "ok      machine:   Python" in text.stdout
    assert "0 wrong" in text.stderr


def test_an_empty_folder_is_nothing_wrong_and_says_how_to_begin(elsewhere: Command, free: str) -> None:
    outcome = elsewhere("doctor", "--json", ROOKERY_PORT=free)
    assert outcome.code == 0
    assert _findings(outcome)["services", "services"]["cure"] == "Make one with `rookery new NAME`"


def test_a_broken_service_and_unreachable_data_are_wrong_with_their_place(tmp_path: Path, free: str) -> None:
    for name in ("broken", "dataless"):
        assert run_command(tmp_path, "new", name).code == 0
    (tmp_path / "services" / "broken" / "service.py").write_text("import nonsense_that_is_not_there\n")
    file = tmp_path / "services" / "dataless" / "service.py"
    file.write_text(file.read_text().replace("wines = load_wine(as_frame=True)", "raise OSError('the share is down')"))
    outcome = run_command(tmp_path, "doctor", "--json", ROOKERY_PORT=free)
    assert outcome.code == 1
    found = _findings(outcome)
    assert found["services", "broken"]["status"] == "wrong"
    assert "service.py:1" in found["services", "broken"]["detail"]
    assert "the share is down" in found["services", "dataless"]["detail"]


def test_an_altered_package_and_an_unreadable_traffic_file_are_wrong(workshop: Path, tmp_path: Path, free: str) -> None:
    home = tmp_path / "home"
    for part in ("packages", "traffic"):
        shutil.copytree(workshop / ".rookery" / part, home / part)
    for model in home.glob("packages/*/model.onnx"):
        model.parent.chmod(0o755)
        model.chmod(0o644)
        model.write_bytes(model.read_bytes()[:-1])
    (home / "traffic" / "other.json").write_text("{")
    outcome = run_command(tmp_path, "doctor", "--json", ROOKERY_HOME=str(home), ROOKERY_PORT=free)
    assert outcome.code == 1
    wrong = {
        name: finding["detail"] for (_, name), finding in _findings(outcome).items() if finding["status"] == "wrong"
    }
    assert len(wrong) == 2
    assert "is no traffic file" in wrong["traffic of other"]
    (package,) = [detail for name, detail in wrong.items() if name.startswith("demo version")]
    assert "model.onnx" in package


def test_a_taken_port_and_an_open_address_are_wrong(elsewhere: Command) -> None:
    with open_socket("127.0.0.1", 0) as listener:
        port = str(listener.getsockname()[1])
        found = _findings(elsewhere("doctor", "--json", ROOKERY_PORT=port))
        assert found["settings", "port"]["status"] == "wrong"
    found = _findings(elsewhere("doctor", "--json", ROOKERY_HOST="0.0.0.0", ROOKERY_PORT=port))
    assert found["settings", "host"]["status"] == "wrong"
    assert "--insecure" in found["settings", "host"]["cure"]


def test_a_tracking_server_that_does_not_answer_is_wrong(elsewhere: Command, free: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
    outcome = elsewhere(
        "doctor", "--json", ROOKERY_TRACKING_URI=uri, ROOKERY_PORT=free, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0"
    )
    assert outcome.code == 1
    assert _findings(outcome)["registry", "registry"]["status"] == "wrong"


def test_a_home_that_cannot_be_written_is_wrong(tmp_path: Path, free: str) -> None:
    (tmp_path / "file").write_text("no folder")
    outcome = run_command(tmp_path, "doctor", "--json", ROOKERY_HOME=str(tmp_path / "file"), ROOKERY_PORT=free)
    assert outcome.code == 1
    assert _findings(outcome)["home", "folder"]["status"] == "wrong"


def test_more_workers_than_cores_are_a_warning() -> None:
    (finding,) = [found for found in check_machine(Settings(workers=200)) if found.name == "cores"]
    assert finding.status == "warning"
    assert "ROOKERY_WORKERS" in finding.cure

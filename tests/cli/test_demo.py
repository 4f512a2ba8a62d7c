"""`rookery demo`: what a running service answers, shown and drawn."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import run_command
from tests.servers import ServerProcess, find_free_port

pytestmark = pytest.mark.xdist_group("pictures")

SERVICES = str(Path(__file__).resolve().parents[2] / "services")


@pytest.fixture(scope="module")
def url(picture_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    factory = ServerProcess.Factory(tmp_path_factory.mktemp("demo"))
    server = factory.serve(home=picture_home, services_folder=SERVICES, workers="1")
    yield f"http://127.0.0.1:{server.port}"
    factory.stop_all()


def test_keypoints_are_drawn_onto_a_copy(url: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "demo", "features", "--url", url, "--runs", "3", "--out", "drawn")
    assert outcome.code == 0, outcome.stderr
    assert "keypoints in 480 x 320 pixels" in outcome.stdout
    assert "cache: miss, hit, hit" in outcome.stdout
    drawn = np.asarray(Image.open(tmp_path / "drawn" / "generated-1-keypoints.png"))
    assert (drawn == (255, 210, 0)).all(axis=2).any()


def test_json_has_counts_timings_and_caches(url: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "demo", "features", "--url", url, "--json")
    first, second = json.loads(outcome.stdout)
    assert first["num_keypoints"] > 20
    assert second["runs"] == len(second["cache"]) == 3
    assert first["first_ms"] > 0


@pytest.mark.skipif(not os.environ.get("ROOKERY_TEST_MOBILENET"), reason="ROOKERY_TEST_MOBILENET is not set")
def test_classes_are_shown_as_bars(url: str, tmp_path: Path, pictures: Path) -> None:
    outcome = run_command(tmp_path, "demo", "images", str(pictures / "dog.jpg"), "--url", url, "--runs", "1")
    assert outcome.code == 0, outcome.stderr
    assert "golden_retriever" in outcome.stdout
    assert "█" in outcome.stdout


def test_faults_are_told_in_a_line(url: str, tmp_path: Path) -> None:
    nobody = run_command(tmp_path, "demo", "features", "--url", f"http://127.0.0.1:{find_free_port()}")
    assert nobody.code == 11
    assert "rookery serve features" in nobody.stderr
    assert "no demo of 'iris'" in run_command(tmp_path, "demo", "iris", "--url", url).stderr
    (tmp_path / "x.png").write_bytes(b"no picture")
    refused = run_command(tmp_path, "demo", "features", "x.png", "--url", url)
    assert refused.code == 12
    assert "answered 400" in refused.stderr
    assert run_command(tmp_path, "demo", "features", "nowhere.png", "--url", url).code == 4

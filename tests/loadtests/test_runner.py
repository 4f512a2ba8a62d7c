"""The load tests' runner: figures from Locust's counts, and a smoke run where Locust has its environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.__main__ import SCENARIOS, SERVICES, Result, draw_pictures, percentile, tabulate

ROOT = Path(__file__).resolve().parents[2]
LOCUST = ROOT / "build" / "loadtest" / "bin" / "locust"


def test_percentiles_are_read_off_counts() -> None:
    times = {1.0: 50, 2.0: 45, 10.0: 4, 50.0: 1}
    assert [percentile(times, share) for share in (0.5, 0.95, 0.99, 1.0)] == [1.0, 2.0, 10.0, 50.0]
    assert percentile({}, 0.5) == 0.0


def test_every_service_has_a_locust_file_and_every_scenario_a_row() -> None:
    folders = {path.parent.name for path in (ROOT / "services").glob("*/service.py")}
    assert set(SERVICES) == folders
    assert all((ROOT / "loadtests" / f"{name}.py").is_file() for name in SERVICES)
    results = [Result("iris", name, 10, 0, 5.0, 1.0, 2.0, 3.0) for name in SCENARIOS]
    assert tabulate(results).row_count == len(SCENARIOS)


@pytest.mark.parametrize("service", ["digits", "features", "images", "iris"])
def test_pictures_are_drawn_for_those_who_take_them(tmp_path: Path, service: str) -> None:
    draw_pictures(tmp_path / service, service)
    assert bool(list((tmp_path / service).iterdir())) is (service != "iris")


@pytest.mark.skipif(not LOCUST.is_file(), reason="Locust is not installed: `make loadtest` does so")
def test_a_scenario_runs_from_end_to_end(picture_home: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "loadtests", "digits", "features", "--home", str(picture_home)),
            *("--seconds", "2", "--scenarios", "baseline"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("baseline") == 4

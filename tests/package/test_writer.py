"""A package is written whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rookery.errors import PackageError
from rookery.package.golden import GoldenCase
from rookery.package.manifest import Provenance
from rookery.package.opener import GRAPH_FILES, open_package
from rookery.package.writer import write_package
from tests.package.builders import (
    build_package,
    classifier,
    function_manifest,
    make_golden,
    make_inputs,
    make_manifest,
    make_reference,
    regression_manifest,
    regressor,
)

ALL_FILES = [*sorted(GRAPH_FILES), "manifest.json"]


def parts(**changes: Any) -> dict[str, Any]:
    model = classifier().SerializeToString()
    manifest = make_manifest()
    whole = {
        "manifest": manifest,
        "model": model,
        "profile": make_reference(model, manifest),
        "golden": make_golden(model, manifest, make_inputs()),
        "metrics": {"accuracy": 0.97},
        "card": "# Card\n",
    }
    return whole | changes


def test_all_files_are_written_read_only_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_package(tmp_path / "deep" / "package", **parts())
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["package"]
    assert sorted(path.name for path in (tmp_path / "deep" / "package").iterdir()) == sorted(ALL_FILES)
    for path in (tmp_path / "deep" / "package").iterdir():
        assert path.stat().st_mode & 0o777 == 0o444
    assert (tmp_path / "deep" / "package").stat().st_mode & 0o777 == 0o755


def test_the_same_parts_give_the_same_bytes_and_digest(tmp_path: Path) -> None:
    first, second = write_package(tmp_path / "a", **parts()), write_package(tmp_path / "b", **parts())
    assert first.content_digest == second.content_digest
    for name in ALL_FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_time_scores_and_card_leave_the_content_digest_alone_while_the_model_does_not(tmp_path: Path) -> None:
    first = write_package(tmp_path / "a", **parts())
    later = Provenance(created_at="2027-01-01T00:00:00+00:00", parent_run="another", git_commit="f00")
    second = write_package(
        tmp_path / "b",
        **parts(manifest=make_manifest(provenance=later), metrics={"seconds": 12.5}, card="# Another card\n"),
    )
    assert second.content_digest == first.content_digest
    assert second.files["metrics.json"] != first.files["metrics.json"]
    third = build_package(tmp_path / "c", model=classifier(scale=2.0))
    assert third.content_digest != first.content_digest


def test_the_digest_of_the_same_content_is_the_same_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tests.package.builders import build_package\n"
        "print(build_package(pathlib.Path(sys.argv[1])).content_digest)"
    )
    digests = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / seed)],
            capture_output=True,
            check=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("kind", ["package", "folder", "file", "dangling link"])
def test_an_existing_target_is_refused_and_left_as_it_was(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    if kind == "package":
        write_package(target, **parts())
    elif kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(PackageError, match="already exists"):
        write_package(target, **parts(card="# Another\n"))
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    if kind == "package":
        assert open_package(target).manifest.service == "penguins"
    elif kind == "file":
        assert target.read_text() == "mine"


@pytest.mark.parametrize("last", ALL_FILES)
def test_an_error_half_way_leaves_nothing_behind(tmp_path: Path, last: str) -> None:
    def stop(name: str) -> None:
        if name == last:
            raise OSError(28, "No space left on device")

    with pytest.raises(PackageError, match="cannot be written: No space left on device"):
        write_package(tmp_path / "package", **parts(on_file=stop))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_package(tmp_path / "package", **parts(on_file=interrupt))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", ALL_FILES)
def test_a_writer_killed_half_way_leaves_nothing_that_opens(tmp_path: Path, last: str) -> None:
    """After every file in turn the writer is killed; what is left is no package, and the target is free."""
    code = (
        "import os, pathlib, signal, sys\n"
        "from tests.package.builders import build_package\n"
        "kill = lambda name: name == sys.argv[2] and os.kill(os.getpid(), signal.SIGKILL)\n"
        "build_package(pathlib.Path(sys.argv[1]), on_file=kill)"
    )
    target = tmp_path / "package"
    done = subprocess.run([sys.executable, "-c", code, str(target), last], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    (left,) = tmp_path.iterdir()
    with pytest.raises(PackageError, match="was never finished"):
        open_package(left)
    build_package(target)
    assert open_package(target).manifest.service == "penguins"


def test_of_two_writers_of_one_target_one_wins_whole(tmp_path: Path) -> None:
    """Both are held until each has written all files; only one rename can succeed."""
    meeting, failures = threading.Barrier(2, timeout=60), []

    def write(card: str) -> None:
        def wait(name: str) -> None:
            if name == "manifest.json":
                meeting.wait()

        try:
            write_package(tmp_path / "package", **parts(card=card, on_file=wait))
        except PackageError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(f"# Card {number}\n",)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(failures) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["package"]
    open_package(tmp_path / "package")


def test_a_target_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PackageError, match="cannot be written"):
        write_package(tmp_path / "file" / "package", **parts())


def other_profile() -> Any:
    model, manifest = classifier().SerializeToString(), make_manifest()
    profile = make_reference(model, manifest)
    return profile.model_copy(update={"columns": profile.columns[1:]})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"golden": []}, "0 cases, at least 20 are needed"),
        ({"model": None}, "has a model and a profile"),
        ({"profile": None}, "has a model and a profile"),
        ({"metrics": {"accuracy": float("nan")}}, "cannot be written as JSON"),
        ({"metrics": {"accuracy": object()}}, "cannot be written as JSON"),
        ({"golden": [GoldenCase(input={"x": np.float32(1)}, expected=(1.0,), tolerance=0.0)] * 20}, "JSON"),
        (
            {"manifest": function_manifest()},
            "neither a model",
        ),
    ],
)
def test_parts_that_make_no_package_are_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PackageError, match=reason):
        write_package(tmp_path / "package", **parts(**changes))
    assert list(tmp_path.iterdir()) == []


def test_a_profile_of_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="which are other columns"):
        write_package(tmp_path / "package", **parts(profile=other_profile()))


def test_a_regression_is_written_and_opened_too(tmp_path: Path) -> None:
    written = build_package(tmp_path / "package", manifest=regression_manifest(), model=regressor())
    assert open_package(tmp_path / "package").manifest.content_digest == written.content_digest

"""Fixtures that every room's tests share: homes, ports, servers and a penguins package that is trained once."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rookery.service.definition import Service
from tests.servers import ROOKERY, ServerProcess, is_setting

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root folder."""
    return ROOT


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty `ROOKERY_HOME`."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no setting of the machine they run on."""
    for name in list(os.environ):
        if is_setting(name):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of one run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def once(marker: Path) -> Iterator[bool]:
    """Let one test process build what `marker` stands for while the others wait; yields whether this one must."""
    with marker.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not marker.exists()
        marker.touch()


@pytest.fixture(scope="session")
def penguins_service() -> Service:
    """The penguins with one quick XGBoost candidate and no cross-validation."""
    from rookery.service.discovery import load_service

    service = load_service(ROOT / "services", "penguins")
    return replace(
        service,
        candidates={"xgboost": _small_xgboost},
        cross_validation=0,
        cross_validation_repeats=1,
        gate=replace(service.gate, accuracy=None, f1_macro=None, against_champion=None),
    )


def _small_xgboost() -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=20, max_depth=3, n_jobs=1, random_state=0)


@pytest.fixture(scope="session")
def penguins_package(shared_folder: Path, penguins_service: Service) -> Path:
    """A package of the penguins, trained once per run on the real data. Copy it before you alter it."""
    package = shared_folder / "penguins-package"
    with once(shared_folder / "penguins-package.done") as must_build:
        if must_build:
            from rookery.registry.memory import MemoryRegistry
            from rookery.training.run import train
            from rookery.training.tracker import NullTracker

            work = shared_folder / "penguins-training"
            registry = MemoryRegistry(work / "registry")
            train(penguins_service, registry=registry, tracker=NullTracker(), home=work / "home")
            registry.download("penguins", registry.versions("penguins")[0].version, package)
    return package


@pytest.fixture
def package_copy(penguins_package: Path, tmp_path: Path) -> Path:
    """A penguins package that a test may damage."""
    copy = tmp_path / "package"
    shutil.copytree(penguins_package, copy)
    for file in copy.iterdir():
        file.chmod(0o644)
    return copy


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder of real photographs: dog.jpg, cat.jpg and kitten.png."""
    return _given("ROOKERY_TEST_PICTURES")


@pytest.fixture(scope="session")
def mobilenet() -> Path:
    """A MobileNetV2 trained on ImageNet: float32 `input` [N, 3, 224, 224] normalised RGB, `output` [N, 1000] logits."""
    return _given("ROOKERY_TEST_MOBILENET")


def _given(name: str) -> Path:
    """Return the path that the environment names; a test that needs it is skipped where it is not set."""
    value = os.environ.get(name, "")
    if not value:
        pytest.skip(f"{name} is not set")
    return Path(value)


@pytest.fixture(scope="session")
def picture_home(shared_folder: Path) -> Path:
    """A home with what takes pictures: digits trained, features registered, images where the weights are."""
    home = shared_folder / "picture-home"
    with once(shared_folder / "picture-home.done") as must_build:
        if must_build:
            weights = os.environ.get("ROOKERY_TEST_MOBILENET")
            _run_rookery(home, "train", "digits", "features")
            if weights:
                _run_rookery(home, "pull", "images", "--arch", "mobilenet_v2", "--weights", weights)
    return home


def _run_rookery(home: Path, *arguments: str) -> None:
    """Run a command of `rookery` on the repository's services."""
    environment = {name: value for name, value in os.environ.items() if not is_setting(name)}
    environment |= {"ROOKERY_HOME": str(home), "ROOKERY_SERVICES_FOLDER": str(ROOT / "services")}
    done = subprocess.run([ROOKERY, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[ServerProcess.Factory]:
    """Start `rookery serve …` processes on free ports; they are ended after the test."""
    factory = ServerProcess.Factory(tmp_path)
    yield factory
    factory.stop_all()

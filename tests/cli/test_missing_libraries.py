"""Without the extra `images`: whatever needs it says so and names the cure; everything else goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import run_command
from tests.servers import ROOKERY, ServerProcess, is_setting
from tests.services.pictures import lively

pytestmark = pytest.mark.xdist_group("pictures")

SERVICES = str(Path(__file__).resolve().parents[2] / "services")
CURE = "pip install 'rookery[images]'"

Bare = Callable[..., subprocess.CompletedProcess[str]]


def hide(folder: Path, *modules: str) -> dict[str, str]:
    """Return the environment of processes in which these modules cannot be imported, as if not installed."""
    folder.mkdir(exist_ok=True)
    lines = "".join(f"sys.modules[{name!r}] = None\n" for name in modules)
    (folder / "sitecustomize.py").write_text(f"import sys\n{lines}")
    inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return inherited | {"PYTHONPATH": str(folder), "ROOKERY_SERVICES_FOLDER": SERVICES}


@pytest.fixture
def bare(picture_home: Path, tmp_path: Path) -> Bare:
    """Run `rookery` where some modules are not installed."""

    def run(*arguments: str, without: tuple[str, ...] = ("PIL", "simplejpeg")) -> subprocess.CompletedProcess[str]:
        environment = hide(tmp_path / "hidden", *without) | {"ROOKERY_HOME": str(picture_home)}
        return subprocess.run(
            [ROOKERY, *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.mark.parametrize("service", ["digits", "features"])
def test_a_server_of_pictures_does_not_start_without_what_reads_them(bare: Bare, service: str) -> None:
    done = bare("serve", service, "--port", "0", "--host", "127.0.0.1")
    assert done.returncode == 11
    assert "Pillow" in done.stderr
    assert CURE in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(("module", "name"), [("python_multipart", "python-multipart"), ("simplejpeg", "simplejpeg")])
def test_every_library_that_is_missing_is_named(bare: Bare, module: str, name: str) -> None:
    done = bare("serve", "digits", "--port", "0", without=(module,))
    assert done.returncode == 11
    assert f"{name} is not installed" in done.stderr


def test_pictures_are_refused_on_the_command_line_in_one_line(bare: Bare, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(lively())
    done = bare("predict", "digits", "x.png")
    assert done.returncode == 11
    assert CURE in done.stderr
    assert done.stderr.count("\n") == 1


def test_packages_of_pictures_are_said_not_to_open_here(bare: Bare) -> None:
    done = bare("verify", "digits")
    assert done.returncode == 8
    assert CURE in done.stderr
    told = bare("doctor")
    assert "Traceback" not in told.stderr + told.stdout
    assert CURE in told.stdout


def test_a_function_without_its_own_library_is_refused_with_the_librarys_name(bare: Bare) -> None:
    done = bare("verify", "features", without=("cv2",))
    assert done.returncode == 8
    assert "cv2" in done.stderr
    assert CURE in done.stderr


def test_tables_are_served_without_them_and_pictures_left_out(
    servers: ServerProcess.Factory, tmp_path: Path, free_port: int
) -> None:
    """`rookery serve` of a whole folder: services that cannot be had here take no other with them."""
    for arguments in (["new", "demo"], ["train", "demo"]):
        assert run_command(tmp_path, *arguments).code == 0
    shutil.copytree(Path(SERVICES) / "digits", tmp_path / "services" / "digits")
    environment = hide(tmp_path / "hidden", "PIL", "simplejpeg", "cv2") | {
        "ROOKERY_HOME": str(tmp_path / ".rookery"),
        "ROOKERY_SERVICES_FOLDER": str(tmp_path / "services"),
        "ROOKERY_WORKERS": "1",
    }
    server = servers.start(
        [ROOKERY, "serve", "--host", "127.0.0.1", "--port", str(free_port)],
        port=free_port,
        ready="/readyz",
        environment=environment,
    )
    assert server.request("GET", "/info").json()["name"] == "demo"
    assert CURE in server.output()

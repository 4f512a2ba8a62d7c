"""What is MLflow's own: crashes half-way, processes at once, other people's models, servers that answer rubbish."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rookery.errors import RegistryError, RegistryUnavailable
from rookery.registry.base import Registry
from rookery.registry.connect import connect
from rookery.registry.memory import MemoryRegistry
from rookery.registry.mlflow_client import open_client, show_location, sqlite_uri
from rookery.registry.mlflow_registry import MlflowRegistry
from rookery.registry.promotion import promote
from rookery.registry.sync import sync
from rookery.registry.traffic import read_traffic_file, traffic_path
from rookery.settings import Settings
from tests.registry.conftest import MakePackage
from tests.registry.crashing import COMPLETE_FROM, STEPS

HERE = Path(__file__).parent


def test_a_crash_at_any_step_leaves_no_version_or_a_whole_one(
    make_package: MakePackage, service: str, empty_database: Path, tmp_path: Path
) -> None:
    """Killed at every call: nothing half-done is listed, aliased or served, and registering again works."""
    package = make_package()
    homes = [tmp_path / f"home-{number}" for number in range(len(STEPS))]
    for home in homes:
        (home / "registry").mkdir(parents=True)
        shutil.copy(empty_database, home / "registry" / "mlflow.db")
    command = [sys.executable, str(HERE / "crashing.py"), str(package), *map(str, homes)]
    script = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert script.returncode == 0, script.stderr
    for number, home in enumerate(homes):
        registry = connect(Settings(home=home))
        survived = ["1"] if number >= COMPLETE_FROM else []
        assert [known.version for known in registry.versions(service)] == survived, STEPS[number]
        if not survived:
            with pytest.raises(RegistryError):
                promote(registry, service, "1")
        again = registry.register(package)
        promote(registry, service, again.version)
        assert sync(registry, home).failures == {}
        content = read_traffic_file(traffic_path(home, service))
        assert content is not None
        assert content.traffic.champion == again.version


def test_processes_at_once_share_one_new_registry_and_get_numbers_of_their_own(
    make_package: MakePackage, service: str, home: Path
) -> None:
    """The database is not there yet: all of them open it at the same moment."""
    package = make_package()
    command = [sys.executable, str(HERE / "registering.py"), str(home), str(package), "3"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    numbers: list[str] = []
    for process in processes:
        output, errors = process.communicate(timeout=150)
        assert (process.returncode, errors) == (0, "")
        numbers += json.loads(output)
    assert sorted(map(int, numbers)) == list(range(1, 7))
    assert len(connect(Settings(home=home)).versions(service)) == 6


def test_a_database_whose_creation_was_killed_is_made_anew(home: Path) -> None:
    folder = home / "registry"
    folder.mkdir()
    with sqlite3.connect(folder / ".mlflow.db.new") as half:
        half.execute("CREATE TABLE experiments (id INTEGER)")
    assert connect(Settings(home=home)).services() == []
    assert not (folder / ".mlflow.db.new").exists()


def test_all_that_the_embedded_registry_writes_lies_under_its_home(
    embedded: Registry, embedded_home: Path, make_package: MakePackage, service: str, tmp_path: Path
) -> None:
    """MLflow would otherwise make `mlruns` in the working directory."""
    before = set(Path.cwd().iterdir())
    embedded.register(make_package())
    assert set(Path.cwd().iterdir()) == before
    assert sorted(entry.name for entry in (embedded_home / "registry").iterdir()) == [
        "artifacts",
        "mlflow.db",
        "registry.lock",
    ]
    assert [entry.name for entry in (embedded_home / "registry" / "artifacts").iterdir()] == [service]


def test_a_package_may_be_registered_in_a_run_that_training_made(
    embedded_home: Path, make_package: MakePackage, service: str
) -> None:
    """Two packages of one run do not overwrite each other, and the run is left to who made it."""
    registry = connect(Settings(home=embedded_home))
    client = open_client(sqlite_uri(embedded_home / "registry" / "mlflow.db"))
    location = (embedded_home / "registry" / "artifacts" / "runs").as_uri()
    run = client.create_run(client.create_experiment("runs", artifact_location=location)).info.run_id
    first = registry.register(make_package(shift=0.1), run_id=run)
    second = registry.register(make_package(shift=0.2), run_id=run)
    assert first.run_id == second.run_id == run
    for known in (first, second):
        folder = registry.download(service, known.version, embedded_home / f"copy-{known.version}")
        assert f'"content_digest": "{known.content_digest}"' in (folder / "manifest.json").read_text()
    assert client.get_run(run).info.status == "RUNNING"


def test_other_peoples_models_are_left_alone(
    embedded: Registry, embedded_home: Path, make_package: MakePackage, service: str
) -> None:
    client = open_client(sqlite_uri(embedded_home / "registry" / "mlflow.db"))
    client.create_registered_model(service)
    assert embedded.services() == []
    with pytest.raises(RegistryError, match="none of Rookery's services"):
        embedded.register(make_package())


def test_a_version_made_by_hand_is_none_of_ours(
    embedded: Registry, embedded_home: Path, make_package: MakePackage, service: str
) -> None:
    embedded.register(make_package())
    client = open_client(sqlite_uri(embedded_home / "registry" / "mlflow.db"))
    client.create_model_version(service, source="file:///etc", tags={"rookery.model_name": "mine"})
    assert [known.version for known in embedded.versions(service)] == ["1"]
    assert embedded.register(make_package()).version == "3"


def test_a_version_whose_files_are_gone_says_so_and_keeps_the_old_one_serving(
    embedded: Registry, embedded_home: Path, make_package: MakePackage, service: str
) -> None:
    embedded.register(make_package(shift=0.1))
    promote(embedded, service, "1")
    sync(embedded, embedded_home)
    shutil.rmtree(embedded_home / "registry" / "artifacts")
    (embedded_home / "packages").rename(embedded_home / "lost")
    assert "no files of version 1" in sync(embedded, embedded_home).failures[f"{service}/1"]


def test_an_experiment_deleted_in_mlflow_is_named(
    embedded: Registry, embedded_home: Path, make_package: MakePackage, service: str
) -> None:
    embedded.register(make_package())
    client = open_client(sqlite_uri(embedded_home / "registry" / "mlflow.db"))
    client.delete_experiment(client.get_experiment_by_name(service).experiment_id)
    with pytest.raises(RegistryError, match=f"experiment '{service}' has been deleted"):
        embedded.register(make_package())


def test_a_database_that_is_none_is_unavailable(home: Path) -> None:
    (home / "registry").mkdir()
    (home / "registry" / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(RegistryUnavailable, match=r"mlflow\.db"):
        connect(Settings(home=home)).services()


@pytest.mark.parametrize("character", ["?", "#", "%"])
def test_a_home_that_a_database_url_cannot_name_is_refused(tmp_path: Path, character: str) -> None:
    with pytest.raises(RegistryError, match="cannot hold the registry"):
        connect(Settings(home=tmp_path / f"a{character}b"))


def test_credentials_in_a_url_are_never_shown() -> None:
    shown = show_location("https://user:secret@registry.example:5000/mlflow?token=secret")
    assert shown == "https://registry.example:5000/mlflow"
    registry = MlflowRegistry("http://user:secret@127.0.0.1:9", client=object())
    assert registry.location == "http://127.0.0.1:9"


Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, body: str, **headers: str) -> Answer:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return write


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


released = threading.Event()


def say_nothing(handler: BaseHTTPRequestHandler) -> None:
    """Hold the connection until the test is over."""
    released.wait(30)


@contextmanager
def serving(reply: Answer) -> Iterator[str]:
    """A server that gives the same reply to everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reply(self)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: Any) -> None:
            pass

    released.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's own time-out, which wins over ours."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


RUBBISH = {
    "error": answer(500, "Internal Server Error"),
    "overloaded": answer(503, "", Retry_After="3600"),
    "page": answer(200, "<html>Welcome to nginx!</html>"),
    "missing": answer(404, "<html>Not Found</html>"),
    "empty": answer(200, ""),
    "object": answer(200, "{}"),
    "list": answer(200, "[1, 2, 3]"),
    "number": answer(200, "17"),
    "other": answer(200, '{"registered_model": {"name": "somebody-else"}}'),
    "types": answer(200, '{"registered_model": {"name": 3, "aliases": "x"}, "model_versions": 5}'),
    "endless": answer(200, '{"registered_models": [], "next_page_token": "again"}'),
    "redirect": answer(302, "", Location="/elsewhere"),
    "hang-up": hang_up,
    "silent": say_nothing,
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", RUBBISH)
def test_a_server_that_answers_rubbish_is_unavailable_and_changes_nothing(
    kind: str, home: Path, make_package: MakePackage, service: str, tmp_path: Path
) -> None:
    working = MemoryRegistry(tmp_path / "memory")
    working.register(make_package())
    promote(working, service, "1")
    sync(working, home)
    before = traffic_path(home, service).read_bytes()
    with serving(RUBBISH[kind]) as url:
        registry = MlflowRegistry(url)
        with pytest.raises(RegistryUnavailable, match=f"the registry at {url}"):
            sync(registry, home)
        with pytest.raises(RegistryError, match=f"the registry at {url}"):
            registry.register(make_package())
    assert traffic_path(home, service).read_bytes() == before


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_not_there_is_unavailable(free_port: int) -> None:
    with pytest.raises(RegistryUnavailable, match="ROOKERY_TRACKING_URI"):
        MlflowRegistry(f"http://127.0.0.1:{free_port}").services()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_wants_credentials_says_how_to_give_them() -> None:
    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": "no"})
    with serving(answer(403, body)) as url, pytest.raises(RegistryError, match="MLFLOW_TRACKING_USERNAME") as caught:
        MlflowRegistry(url).services()
    assert not isinstance(caught.value, RegistryUnavailable)

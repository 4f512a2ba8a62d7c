"""Real servers, with real faults: workers killed, stopped and replaced, signals, ports, doors."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from rookery.supervisor.binding import open_socket
from tests.servers import PATIENCE, ROOKERY, ServerProcess, find_free_port

PENGUIN = {
    "bill_length_mm": 39.1,
    "bill_depth_mm": 18.7,
    "flipper_length_mm": 181,
    "body_mass_g": 3750,
    "year": 2007,
    "sex": "male",
    "island": "Torgersen",
}


def wait_until(condition: Callable[[], bool], what: str, server: ServerProcess) -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen:\n{server.output()[-4000:]}"
        time.sleep(0.05)


def workers_of(server: ServerProcess) -> set[int]:
    """Return the pids of a server's workers."""
    try:
        children = psutil.Process(server.process.pid).children()
        return {child.pid for child in children if "rookery.supervisor.worker" in child.cmdline()}
    except psutil.NoSuchProcess:
        return set()


def metric(server: ServerProcess, pattern: str) -> float:
    """Return the sum of the samples that match a pattern; 0 while there is none."""
    text = server.request("GET", "/metrics").body.decode()
    return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE))


@pytest.fixture
def server(servers: ServerProcess.Factory, penguins_package: Path) -> ServerProcess:
    """Two workers that serve the penguins, with a short heartbeat."""
    return servers.serve("--package", str(penguins_package), workers="2", heartbeat_timeout="1.5")


@pytest.fixture
def asking(server: ServerProcess) -> Iterator[list[str]]:
    """Predictions all the while, one after the other on new connections; what goes wrong is kept."""
    faults: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                reply = server.request("POST", "/predict", PENGUIN)
                if reply.status != 200:
                    faults.append(f"{reply.status} {reply.body!r}")
            except OSError as error:
                faults.append(repr(error))
            time.sleep(0.005)

    thread = threading.Thread(target=ask)
    thread.start()
    yield faults
    done.set()
    thread.join()


def _both_ready(server: ServerProcess) -> None:
    wait_until(lambda: metric(server, "rookery_workers_up") == 2, "two workers ready", server)


def test_a_killed_worker_is_replaced_while_the_port_answers_and_its_counts_are_kept(server: ServerProcess) -> None:
    _both_ready(server)
    for _ in range(20):
        assert server.request("POST", "/predict", PENGUIN).status == 200
    wait_until(lambda: metric(server, r"rookery_predictions_total\{.*\}") == 20, "both workers' counts", server)
    before = workers_of(server)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(workers_of(server) - before) == 1, "a new worker", server)
    _both_ready(server)
    for _ in range(10):
        assert server.request("POST", "/predict", PENGUIN).status == 200
    wait_until(lambda: metric(server, r"rookery_predictions_total\{.*\}") == 30, "the dead worker's counts", server)
    wait_until(
        lambda: metric(server, r'rookery_worker_restarts_total\{reason="crash"\}') == 1,
        "the count of the restart",
        server,
    )
    (line,) = [line for line in server.output().splitlines() if "Worker died" in line]
    assert json.loads(line)["reason"] == "killed by signal 9"
    assert json.loads(line)["pid"] == victim


def test_a_worker_whose_event_loop_is_stuck_is_killed_and_replaced(server: ServerProcess) -> None:
    _both_ready(server)
    before = workers_of(server)
    victim = min(before)
    os.kill(victim, signal.SIGSTOP)
    wait_until(lambda: victim not in workers_of(server) and len(workers_of(server)) == 2, "its replacement", server)
    _both_ready(server)
    assert server.request("POST", "/predict", PENGUIN).status == 200
    wait_until(
        lambda: metric(server, r'rookery_worker_restarts_total\{reason="stuck"\}') == 1,
        "the count of the restart",
        server,
    )


def test_sighup_replaces_every_worker_and_fails_no_request(server: ServerProcess, asking: list[str]) -> None:
    _both_ready(server)
    before = workers_of(server)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not before & workers_of(server) and len(workers_of(server)) == 2, "the old ones' leave", server)
    _both_ready(server)
    assert asking == []
    wait_until(
        lambda: metric(server, r'rookery_worker_restarts_total\{reason="reload"\}') == 2,
        "the count of the restart",
        server,
    )


def test_a_replacement_that_cannot_start_leaves_the_old_worker_answering(
    servers: ServerProcess.Factory, package_copy: Path
) -> None:
    server = servers.serve("--package", str(package_copy), workers="1")
    before = workers_of(server)
    (package_copy / "manifest.json").unlink()
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "Replacement could not start" in server.output(), "the failed replacement", server)
    (line,) = [json.loads(line) for line in server.output().splitlines() if "Replacement could not start" in line]
    assert "manifest.json" in line["reason"]
    assert workers_of(server) == before
    assert server.request("POST", "/predict", PENGUIN).status == 200


def test_a_crash_loop_is_tried_on_slower_and_slower_until_it_heals(
    servers: ServerProcess.Factory, package_copy: Path
) -> None:
    server = servers.serve("--package", str(package_copy), workers="2")
    _both_ready(server)
    manifest = (package_copy / "manifest.json").read_bytes()
    (package_copy / "manifest.json").unlink()
    os.kill(min(workers_of(server)), signal.SIGKILL)
    wait_until(lambda: server.output().count("Worker died") >= 4, "the crash loop", server)
    deaths = [json.loads(line) for line in server.output().splitlines() if "Worker died" in line]
    assert [line["crashes_in_a_row"] for line in deaths[:4]] == [1, 2, 3, 4]
    delays = [line["delay_seconds"] for line in deaths[:4]]
    assert delays[0] == 0
    assert delays == sorted(set(delays))
    assert server.request("POST", "/predict", PENGUIN).status == 200
    (package_copy / "manifest.json").write_bytes(manifest)
    _both_ready(server)


def _is_refused(server: ServerProcess) -> bool:
    """Whether the server takes no more connections."""
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_answers_what_was_begun_refuses_what_is_new_and_exits_0(server: ServerProcess) -> None:
    _both_ready(server)
    body = json.dumps(PENGUIN).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as begun:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        begun.sendall(head.encode() + body[:20])
        # The worker has read what was sent once it has answered something that was sent later.
        for _ in range(20):
            assert server.request("GET", "/livez").status == 200
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: _is_refused(server), "the closed door", server)
        begun.sendall(body[20:])
        answer = b""
        while chunk := begun.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    assert server.process.wait(20) == 0


def test_a_second_signal_does_not_wait(servers: ServerProcess.Factory, penguins_package: Path) -> None:
    server = servers.serve("--package", str(penguins_package), workers="1", graceful_timeout="600", body_timeout="600")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as begun:
        begun.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        for _ in range(5):
            assert server.request("GET", "/livez").status == 200
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: "Stopping" in server.output(), "the stop", server)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
    assert workers_of(server) == set()


def test_workers_leave_when_their_supervisor_is_gone(server: ServerProcess) -> None:
    _both_ready(server)
    left = [psutil.Process(pid) for pid in workers_of(server)]
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(left, timeout=20)
    assert alive == []


def test_the_run_folder_is_gone_after_a_graceful_end(
    servers: ServerProcess.Factory, penguins_package: Path, home: Path
) -> None:
    server = servers.serve("--package", str(penguins_package), workers="1", home=home)
    assert len(list((home / "run").iterdir())) == 1
    assert server.stop() == 0
    assert list((home / "run").iterdir()) == []


def test_the_start_up_line_says_what_is_served_and_why_the_lane_is_off(
    servers: ServerProcess.Factory, penguins_package: Path
) -> None:
    server = servers.serve("--package", str(penguins_package), workers="1", lane="off")
    url = f"http://127.0.0.1:{server.port}"
    wait_until(lambda: "Rookery serves" in server.output(), "the start-up line", server)
    assert f"Rookery serves penguins (version 1) at {url} with 1 worker, lane off (by setting)" in server.output()
    assert server.request("POST", "/predict", PENGUIN).status == 200


def test_predictions_are_logged_to_standard_output_and_to_the_file(
    servers: ServerProcess.Factory, penguins_package: Path, tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "requests.log"
    server = servers.serve("--package", str(penguins_package), workers="1", log_file=str(log))
    reply = server.request("POST", "/predict", PENGUIN)
    own_id = reply.headers["x-request-id"]
    wait_until(lambda: log.exists() and own_id in log.read_text(), "the line in the file", server)
    (line,) = [json.loads(line) for line in log.read_text().splitlines() if own_id in line]
    assert line["message"] == "Prediction successful"
    assert line["prediction"] == "Adelie"
    assert line["response_time_ms"] > 0
    assert own_id in server.output()


def _serve_and_fail(*arguments: str, **environment: str) -> tuple[int, str]:
    # Not measured: coverage may complain on stderr when a worker ends while it writes, and stderr is what is judged.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ROOKERY_", "COVERAGE_"))}
    done = subprocess.run(
        [ROOKERY, "serve", *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_port_that_is_taken_stops_the_start_with_its_owner(penguins_package: Path, home: Path) -> None:
    with open_socket("127.0.0.1", 0) as listener:
        port = str(listener.getsockname()[1])
        code, text = _serve_and_fail("--package", str(penguins_package), "--port", port, ROOKERY_HOME=str(home))
    assert code == 11
    assert f"port {port} of 127.0.0.1 is taken by process {os.getpid()}" in text


def test_an_open_address_without_keys_stops_the_start(penguins_package: Path, home: Path) -> None:
    arguments = ("--package", str(penguins_package), "--port", "0", "--host", "0.0.0.0")
    code, text = _serve_and_fail(*arguments, ROOKERY_HOME=str(home))
    assert code == 11
    assert "0.0.0.0 can be reached from other machines" in text


def test_insecure_insists_and_is_warned_of(servers: ServerProcess.Factory, penguins_package: Path) -> None:
    port = find_free_port()
    command = [ROOKERY, "serve", "--package", str(penguins_package), "--host", "0.0.0.0", "--port", str(port)]
    environment = {"ROOKERY_INSECURE": "1", "ROOKERY_HOME": str(servers.folder / "home"), "ROOKERY_WORKERS": "1"}
    server = servers.start(command, port=port, ready="/readyz", environment=environment)
    wait_until(lambda: "Warning: 0.0.0.0 can be reached" in server.output(), "the warning", server)


def test_a_service_that_cannot_be_loaded_stops_the_start_with_its_file_and_line(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "services" / "broken"
    folder.mkdir(parents=True)
    (folder / "service.py").write_text("from rookery import Service\nservice = Service(nonsense=1)\n")
    code, text = _serve_and_fail(
        "broken", "--port", "0", ROOKERY_HOME=str(home), ROOKERY_SERVICES_FOLDER=str(tmp_path / "services")
    )
    assert code == 11
    assert "service.py:2" in text


def test_settings_that_are_wrong_stop_the_start_line_by_line(home: Path) -> None:
    code, text = _serve_and_fail("--port", "http", ROOKERY_HOME=str(home), ROOKERY_LANE="perhaps")
    assert code == 3
    assert "--port='http' is not allowed: port is a whole number from 0 to 65535" in text
    assert "ROOKERY_LANE='perhaps' is not allowed: lane is on or off" in text

"""A file is the one that was promised, whatever happens on the way; or there is none, and a message says why."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rookery.errors import DownloadError
from rookery.export.download import fetch
from rookery.export.download_source import Ask, Redirects, SourceError, open_source
from tests.export.file_server import (
    Behaviour,
    Exchange,
    FileServer,
    alter,
    answer,
    behaving,
    claim,
    cut_after,
    drip,
    endless,
    redirect,
    say_nothing,
    serve,
    serve_changed,
    serve_whole,
    serve_without_tag,
    stall_after,
)

DATA = np.random.default_rng(1).bytes(1_500_000)
OTHER = np.random.default_rng(2).bytes(1_500_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
HALF = 700_000


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(DATA) as started:
        yield started


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "model.onnx"


class Pauses:
    """Takes the place of sleeping, and keeps what was asked of it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def bring(server: FileServer, target: Path, *behaviours: Behaviour, **options: Any) -> Path:
    """Fetch the file from a server that behaves so."""
    if behaviours:
        server.behaviours = list(behaviours)
    given = {"sha256": DIGEST, "size": len(DATA), "pause": Pauses(), "timeout_seconds": 5.0, **options}
    return fetch(server.url, target, **given)


def left(target: Path) -> list[str]:
    """Return the names of what lies beside a destination, it included."""
    return sorted(path.name for path in target.parent.iterdir())


def check_refused(server: FileServer, target: Path, message: str, **options: Any) -> DownloadError:
    """See that nothing is fetched, and that the message says why and gives nothing away."""
    with pytest.raises(DownloadError, match=message) as caught:
        bring(server, target, **options)
    assert not target.exists()
    assert "http:" not in str(caught.value)
    assert "folder" not in caught.value.message
    assert caught.value.cure
    return caught.value


def test_a_file_arrives_whole(server: FileServer, target: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    assert bring(server, target, progress=lambda done, total: seen.append((done, total))) == target
    assert target.read_bytes() == DATA
    assert left(target) == ["model.onnx"]
    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_real_weights_arrive_over_a_line_that_breaks_twice(target: Path, mobilenet: Path) -> None:
    data = mobilenet.read_bytes()
    with behaving(data, cut_after(5_000_000), cut_after(3_000_000), serve) as server:
        digest = hashlib.sha256(data).hexdigest()
        fetch(server.url, target, sha256=digest, size=len(data), pause=Pauses())
        assert server.ranges() == [None, "bytes=5000000-", "bytes=8000000-"]
    assert target.read_bytes() == data


def test_a_file_that_is_there_is_not_fetched_again(server: FileServer, target: Path) -> None:
    bring(server, target)
    bring(server, target)
    assert len(server.requests) == 1
    target.write_bytes(OTHER)
    bring(server, target)
    assert target.read_bytes() == DATA
    assert len(server.requests) == 2


def test_cuts_are_taken_up_where_they_happened(server: FileServer, target: Path) -> None:
    pauses = Pauses()
    bring(server, target, cut_after(HALF), cut_after(0), cut_after(HALF), serve, pause=pauses)
    assert target.read_bytes() == DATA
    assert server.ranges() == [None, f"bytes={HALF}-", f"bytes={HALF}-", f"bytes={2 * HALF}-"]
    assert {request.get("If-Range") for request in server.requests[1:]} == {'"first"'}
    assert pauses.seconds == [0.5, 1.0, 2.0]


def test_cuts_without_end_are_given_up_and_what_came_is_kept(server: FileServer, target: Path) -> None:
    server.behaviours = [cut_after(HALF), cut_after(0)]
    check_refused(server, target, f"127.0.0.1: the connection was cut after {HALF} of {len(DATA)} bytes", attempts=3)
    assert len(server.requests) == 3
    assert (target.parent / "model.onnx.part").read_bytes() == DATA[:HALF]
    bring(server, target, serve)
    assert server.ranges()[-1] == f"bytes={HALF}-"
    assert "If-Range" not in server.requests[-1]
    assert target.read_bytes() == DATA
    assert left(target) == ["model.onnx"]


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_part_that_is_whole_already_is_only_verified(server: FileServer, target: Path, size: int | None) -> None:
    target.parent.mkdir()
    (target.parent / "model.onnx.part").write_bytes(DATA)
    bring(server, target, size=size)
    assert server.requests == []
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("part", [OTHER, OTHER[:HALF], OTHER + DATA, b""], ids=["whole", "half", "too long", "empty"])
@pytest.mark.parametrize("size", [len(DATA), None], ids=["size known", "size unknown"])
def test_a_part_of_something_else_is_thrown_away(
    server: FileServer, target: Path, part: bytes, size: int | None
) -> None:
    target.parent.mkdir()
    (target.parent / "model.onnx.part").write_bytes(part)

    def behave(exchange: Exchange) -> None:
        if exchange.start >= len(DATA):
            exchange.head(416, Content_Range=f"bytes */{len(DATA)}", Content_Length=0)
        else:
            serve(exchange)

    bring(server, target, behave, size=size)
    assert target.read_bytes() == DATA
    assert left(target) == ["model.onnx"]


def test_a_server_without_ranges_begins_again(server: FileServer, target: Path) -> None:
    bring(server, target, cut_after(HALF), serve_whole)
    assert server.ranges() == [None, f"bytes={HALF}-"]
    assert target.read_bytes() == DATA


def test_a_file_that_changes_between_two_attempts_is_fetched_anew(target: Path) -> None:
    """By its tag where the server gives one, and by its digest where it does not."""

    def begin_with_another(exchange: Exchange) -> None:
        exchange.head_of_file()
        exchange.send(OTHER[:HALF])

    with behaving(DATA, begin_with_another, serve_changed) as server:
        bring(server, target)
        assert len(server.requests) == 2
    assert target.read_bytes() == DATA
    target.unlink()
    with behaving(DATA, begin_with_another, serve_without_tag) as server:
        bring(server, target)
        assert server.ranges() == [None, f"bytes={HALF}-", None]
    assert target.read_bytes() == DATA


def test_a_wrong_byte_is_noticed_and_nothing_of_it_stays(server: FileServer, target: Path) -> None:
    server.behaviours = [alter]
    error = check_refused(server, target, f"127.0.0.1: SHA-256 [0-9a-f]{{12}}… instead of {DIGEST[:12]}…")
    assert DIGEST not in str(error)
    assert left(target) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("difference", [5, -5])
def test_another_length_than_promised_is_refused_before_a_byte_is_read(
    server: FileServer, target: Path, difference: int
) -> None:
    server.behaviours = [claim(difference)]
    told = len(DATA) + difference
    check_refused(server, target, f"it has a file of {told} bytes instead of {len(DATA)}")
    assert (len(server.requests), left(target)) == (1, [])


def test_no_more_is_read_than_was_promised(server: FileServer, target: Path) -> None:
    assert bring(server, target, endless).read_bytes() == DATA


def test_lengths_that_lie_are_found_out_where_no_size_is_known(server: FileServer, target: Path) -> None:
    """One that is too short gives another file; one that is too long looks like a cut, until the digest is right."""
    server.behaviours = [claim(-5)]
    check_refused(server, target, "SHA-256", size=None)
    server.behaviours = [claim(5)]
    check_refused(server, target, f"cut after {len(DATA)} of {len(DATA) + 5} bytes", size=None, attempts=1)
    asked = len(server.requests)
    assert bring(server, target, size=None).read_bytes() == DATA
    assert len(server.requests) == asked


def test_bytes_without_end_are_stopped_where_another_file_was_promised(server: FileServer, target: Path) -> None:
    server.behaviours = [endless]
    check_refused(server, target, "SHA-256", size=len(DATA) + 100_000)
    assert left(target) == []


def test_a_server_that_stalls_is_asked_for_the_rest(server: FileServer, target: Path) -> None:
    bring(server, target, stall_after(HALF), say_nothing, serve, timeout_seconds=0.3)
    assert server.ranges() == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
    assert target.read_bytes() == DATA


def test_a_server_that_is_never_silent_and_never_done_counts_as_stalled(server: FileServer, target: Path) -> None:
    server.behaviours = [drip]
    check_refused(server, target, "less than 1024 bytes a second", timeout_seconds=0.5, attempts=1)


def test_a_server_that_never_answers_is_given_up(server: FileServer, target: Path) -> None:
    server.behaviours = [say_nothing]
    check_refused(server, target, "does not answer in time", timeout_seconds=0.2, attempts=2)
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(server: FileServer, target: Path, status: int) -> None:
    bring(server, target, answer(status), answer(status), serve)
    assert len(server.requests) == 3
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("status", [204, 304, 401, 403, 404, 410])
def test_what_will_not_pass_is_not_tried_again(server: FileServer, target: Path, status: int) -> None:
    server.behaviours = [answer(status)]
    check_refused(server, target, f"127.0.0.1: it answers {status}")
    assert len(server.requests) == 1
    assert left(target) == []


def test_other_answers_than_the_files_bytes_are_refused(server: FileServer, target: Path) -> None:
    def another_part(exchange: Exchange) -> None:
        exchange.head(206, Content_Length=5, Content_Range=f"bytes 5-9/{len(DATA)}")

    for behaviour, message in (
        (answer(200, Content_Encoding="gzip"), "compressed"),
        (another_part, "another part of the file"),
        (answer(206), "another part of the file"),
    ):
        server.behaviours = [behaviour]
        check_refused(server, target, message)


def test_redirects_are_followed_a_few_times(server: FileServer, target: Path) -> None:
    hops = [redirect("/elsewhere", status) for status in (301, 302, 303, 307, 308)]
    bring(server, target, *hops, serve)
    assert target.read_bytes() == DATA
    assert {request["path"] for request in server.requests[1:]} == {"/elsewhere"}


def test_ranges_survive_redirects(server: FileServer, target: Path) -> None:
    bring(server, target, redirect("/a"), cut_after(HALF), redirect("/b"), serve)
    assert server.ranges() == [None, None, f"bytes={HALF}-", f"bytes={HALF}-"]
    assert target.read_bytes() == DATA


def test_a_loop_of_redirects_ends(server: FileServer, target: Path) -> None:
    server.behaviours = [redirect("/again")]
    check_refused(server, target, "redirects more than 5 times")
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "place",
    [
        "file:///etc/passwd",
        "ftp://weights.example/model.onnx",
        "gopher://weights.example/",
        "data:,x",
        "http://user:secret@weights.example/model.onnx",
        "http://:0/",
        "http://[/",
    ],
)
def test_redirects_to_anything_but_http_are_refused(server: FileServer, target: Path, place: str) -> None:
    server.behaviours = [redirect(place)]
    error = check_refused(server, target, "redirects to what is no http or https address")
    assert "secret" not in str(error)
    assert len(server.requests) == 1


def test_https_is_never_left_for_http() -> None:
    """Told to the handler itself: a server with a trusted certificate is nothing that a test has."""
    location = Message()
    location["Location"] = "http://weights.example/model.onnx"
    with pytest.raises(SourceError, match="from https to http"):
        Redirects().http_error_302(Ask("https://weights.example/"), BytesIO(), 302, "Found", location)


def test_mirrors_are_asked_in_their_order(server: FileServer, target: Path) -> None:
    """Under `<mirror>/<file name>`; what the first server sent is taken up at the next."""
    with behaving(DATA, answer(404)) as second, behaving(DATA, serve_without_tag) as third:
        server.behaviours = [cut_after(HALF), answer(410)]
        fetch(
            f"{server.url}?download=true",
            target,
            sha256=DIGEST,
            size=len(DATA),
            mirrors=(f"{second.base}/deep/er/", third.base),
            pause=Pauses(),
        )
        assert [request["path"] for request in second.requests] == ["/deep/er/model.onnx"]
        assert [request["path"] for request in third.requests] == ["/model.onnx"]
        assert third.ranges() == [f"bytes={HALF}-"]
    assert target.read_bytes() == DATA


def test_a_mirror_has_no_say_in_what_the_file_is(server: FileServer, target: Path) -> None:
    with behaving(OTHER, serve) as mirror:
        server.behaviours = [cut_after(HALF), answer(404)]
        check_refused(server, target, "127.0.0.1: it answers 404; 127.0.0.1: SHA-256", mirrors=[mirror.base])
        assert mirror.ranges() == [f"bytes={HALF}-", None]


@pytest.mark.parametrize(
    "address",
    ["ftp://weights.example/model.onnx", "file:///etc/passwd", "model.onnx", "http://[::1/model.onnx", "http://a b/"],
)
def test_addresses_of_other_kinds_are_never_asked(target: Path, address: str) -> None:
    with pytest.raises(DownloadError, match="no http or https URL"):
        fetch(address, target, sha256=DIGEST)
    with pytest.raises(DownloadError, match="no http or https URL"):
        fetch("http://127.0.0.1:1/model.onnx", target, sha256=DIGEST, mirrors=[address])
    assert not target.parent.exists()


def test_passwords_in_addresses_are_neither_sent_nor_shown(target: Path) -> None:
    with pytest.raises(DownloadError, match=r"weights\.example holds a user's name") as caught:
        fetch("https://user:secret@weights.example/model.onnx", target, sha256=DIGEST)
    assert "secret" not in str(caught.value)


def test_nobody_at_home_is_said_by_host(free_port: int, target: Path) -> None:
    pauses = Pauses()
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1: it cannot be reached \(Connection refused\)"):
        fetch(f"http://127.0.0.1:{free_port}/x/model.onnx?key=1", target, sha256=DIGEST, attempts=3, pause=pauses)
    assert pauses.seconds == [0.5, 1.0]
    assert left(target) == []


def test_what_is_no_http_is_a_broken_connection(target: Path) -> None:
    def speak_nonsense(exchange: Exchange) -> None:
        exchange.send(b"220 ready\r\n")

    with behaving(DATA, speak_nonsense) as server:
        check_refused(server, target, "the connection breaks", attempts=1)


def test_proxies_of_the_environment_are_used(server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.base)
    fetch("http://weights.invalid/folder/model.onnx", target, sha256=DIGEST, size=len(DATA))
    assert server.requests[0]["path"] == "http://weights.invalid/folder/model.onnx"
    assert server.requests[0]["Host"] == "weights.invalid"
    assert target.read_bytes() == DATA


def test_two_calls_at_once_fetch_once(server: FileServer, target: Path) -> None:
    def slowly(exchange: Exchange) -> None:
        start = exchange.head_of_file()
        for place in range(start, len(DATA), 100_000):
            exchange.send(DATA[place : place + 100_000])
            exchange.closing.wait(0.02)

    server.behaviours = [slowly]
    with ThreadPoolExecutor(4) as pool:
        found = [future.result() for future in [pool.submit(bring, server, target) for _ in range(4)]]
    assert found == [target] * 4
    assert target.read_bytes() == DATA
    assert len(server.requests) == 1
    assert left(target) == ["model.onnx"]


def test_who_waits_goes_on_where_the_first_one_failed(server: FileServer, target: Path) -> None:
    started = threading.Event()

    def fail_later(exchange: Exchange) -> None:
        start = exchange.head_of_file()
        exchange.send(DATA[start : start + HALF])
        started.set()
        exchange.closing.wait(0.3)

    server.behaviours = [fail_later, serve]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(bring, server, target, attempts=1)
        started.wait(5)
        second = pool.submit(bring, server, target)
        assert isinstance(first.exception(), DownloadError)
        assert second.result() == target
    assert server.ranges() == [None, f"bytes={HALF}-"]
    assert target.read_bytes() == DATA


def test_a_killed_call_leaves_what_the_next_one_takes_up(server: FileServer, target: Path) -> None:
    server.behaviours = [stall_after(1_200_000), serve]
    script = (
        "import sys; from pathlib import Path; from rookery.export.download import fetch\n"
        "fetch(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3], size=int(sys.argv[4]))"
    )
    part = target.parent / "model.onnx.part"
    command = [sys.executable, "-c", script, server.url, str(target), DIGEST, str(len(DATA))]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        for _ in range(500):
            if part.exists() and part.stat().st_size > HALF:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    kept = part.stat().st_size
    assert HALF < kept < len(DATA)
    bring(server, target)
    assert server.ranges() == [None, f"bytes={kept}-"]
    assert target.read_bytes() == DATA


def test_a_link_in_the_parts_place_is_not_followed(server: FileServer, target: Path) -> None:
    target.parent.mkdir()
    other = target.parent / "precious"
    other.write_bytes(b"mine")
    (target.parent / "model.onnx.part").symlink_to(other)
    check_refused(server, target, "model.onnx cannot be written")
    assert other.read_bytes() == b"mine"


def test_a_folder_that_cannot_be_written_is_said(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file")
    with pytest.raises(DownloadError, match=r"model\.onnx cannot be written \((File exists|Not a directory)\)"):
        bring(server, tmp_path / "weights" / "model.onnx")


def test_a_full_disk_is_said(server: FileServer, target: Path) -> None:
    """A limit on the size of files stands in for the disk's end."""
    import resource

    script = (
        "import resource, signal, sys; from pathlib import Path; from rookery.export.download import fetch\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "fetch(sys.argv[1], Path(sys.argv[2]), sha256=sys.argv[3], size=int(sys.argv[4]))"
    )
    command = [sys.executable, "-c", script, server.url, str(target), DIGEST, str(len(DATA))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "DownloadError: model.onnx cannot be written (File too large)" in done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1_000_000
    assert not target.exists()
    assert left(target) == ["model.onnx.part"]


def test_the_last_change_names_a_state_where_there_is_no_tag(target: Path) -> None:
    def dated(exchange: Exchange) -> None:
        exchange.head(200, Content_Length=4, ETag='W/"weak"', Last_Modified="Tue, 01 Jul 2025 10:00:00 GMT")

    with behaving(DATA, dated) as server, open_source(server.url, start=0, validator="", timeout=5) as body:
        assert (body.start, body.total, body.validator) == (0, 4, "Tue, 01 Jul 2025 10:00:00 GMT")

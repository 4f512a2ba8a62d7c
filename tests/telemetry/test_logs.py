from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rookery.telemetry.log_sink import RotatingFileSink, StreamSink
from rookery.telemetry.logs import LONGEST_TEXT, Log, PredictionLog, open_sinks, route_standard_logging


class Lines:
    """A sink that keeps its lines."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []

    def write(self, line: bytes) -> bool:
        self.raw.append(line)
        return True

    @property
    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw]


def test_a_line_is_one_json_object_with_time_level_and_message_first() -> None:
    lines = Lines()
    Log([lines], process="worker 0").write("info", "Started", count=3)
    assert lines.raw[0].endswith(b"\n")
    assert list(lines.read[0]) == ["timestamp", "level", "message", "process", "count"]
    assert lines.read[0]["timestamp"].endswith("Z")


def test_lines_below_the_level_are_not_written() -> None:
    lines = Lines()
    log = Log([lines], level="warning")
    log.write("info", "no")
    log.write("debug", "no")
    log.write("error", "yes")
    assert [line["message"] for line in lines.read] == ["yes"]


def test_nothing_that_a_client_sends_begins_a_line_of_its_own() -> None:
    lines = Lines()
    evil = 'x"}\r\n{"level":"error","message":"forged\u2028\x1b[31m'
    log = PredictionLog(Log([lines]), per_second=10)
    log.log_prediction("s", {"species": evil}, response_time_ms=1.0, request_id=evil, version="1")
    log.log_request("s", status=404, response_time_ms=1.0, request_id="i", path=evil, reason=evil)
    assert [raw.count(b"\n") for raw in lines.raw] == [1, 1]
    assert lines.read[0]["species"] == evil
    assert b"\x1b" not in lines.raw[0]


def test_a_prediction_line_holds_the_answers_short_scalars_the_time_and_the_id() -> None:
    lines = Lines()
    answer = {
        "species": "Adelie",
        "confidence": 0.85,
        "probabilities": {"Adelie": 0.85},
        "note": "x" * (LONGEST_TEXT + 1),
    }
    PredictionLog(Log([lines]), per_second=10).log_prediction(
        "penguins", answer, response_time_ms=1.25, request_id="0190", version="3"
    )
    line = lines.read[0]
    assert line.pop("timestamp")
    assert line == {
        "level": "info",
        "message": "Prediction successful",
        "species": "Adelie",
        "confidence": 0.85,
        "response_time_ms": 1.25,
        "request_id": "0190",
        "service": "penguins",
        "model_version": "3",
    }


@pytest.mark.parametrize(
    ("status", "message", "level"),
    [(200, "Request answered", "info"), (422, "Request refused", "info"), (503, "Request failed", "error")],
)
def test_a_request_line_says_how_it_ended(status: int, message: str, level: str) -> None:
    lines = Lines()
    PredictionLog(Log([lines]), per_second=1).log_request("s", status=status, response_time_ms=1.0, request_id="i")
    assert (lines.read[0]["message"], lines.read[0]["level"]) == (message, level)


def test_lines_beyond_the_rate_are_left_out_counted_and_reported_by_the_next_line() -> None:
    lines = Lines()
    log = PredictionLog(Log([lines]), per_second=3)
    granted = sum(log.claim(1) for _ in range(1000)) + log.claim(50)
    # The second may have turned once or twice on the way.
    assert 3 <= granted <= 9
    assert log.dropped == 1050 - granted
    log.log_request("s", status=200, response_time_ms=1.0, request_id="i")
    log.log_request("s", status=200, response_time_ms=1.0, request_id="i")
    assert lines.read[0]["lines_left_out"] == 1050 - granted
    assert "lines_left_out" not in lines.read[1]


def test_a_rate_of_zero_writes_nothing() -> None:
    assert PredictionLog(Log([Lines()]), per_second=0).claim(5) == 0


@pytest.fixture
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    uvicorn = logging.getLogger("uvicorn.error").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.error").setLevel(uvicorn)


@pytest.mark.usefixtures("_root_logger")
def test_what_libraries_log_has_the_same_shape_with_the_traceback_in_it() -> None:
    lines = Lines()
    route_standard_logging(Log([lines]), level="info")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("somebody").exception("it failed: %s", "why")
    logging.getLogger("uvicorn.error").info("Started server process")
    (line,) = lines.read
    assert line["message"] == "it failed: why"
    assert line["logger"] == "somebody"
    assert line["level"] == "error"
    assert "ValueError: broken" in line["exception"]


def test_an_answer_whose_fields_are_named_like_the_lines_own_changes_none_of_them() -> None:
    lines = Lines()
    answer = {"level": "high", "message": "hello", "timestamp": 0, "error": "e", "event": "x", "exc_info": True}
    PredictionLog(Log([lines]), per_second=1).log_prediction(
        "s", answer, response_time_ms=1.0, request_id="i", version="1"
    )
    (line,) = lines.read
    assert (line["level"], line["message"]) == ("info", "Prediction successful")
    assert str(line["timestamp"]).endswith("Z")
    assert (line["error"], line["event"], line["exc_info"]) == ("e", "x", True)


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    lines = Lines()
    Log([lines]).write("info", "Loaded", path=Path("a/b"), value=float("nan"))
    assert lines.read[0]["path"] == "a/b"
    assert lines.read[0]["value"] is None


def test_loading_the_logs_loads_neither_structlog_nor_rich() -> None:
    program = "import sys, rookery.telemetry.logs; print({'structlog', 'rich'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_pipe_that_nobody_reads_costs_lines_and_no_time() -> None:
    read_end, write_end = os.pipe()
    try:
        sink = StreamSink(write_end)
        line = b"x" * 999 + b"\n"
        written = [sink.write(line) for _ in range(200)]
        assert written[0] is True
        assert written[-1] is False
        os.read(read_end, 1 << 20)
        assert sink.write(line) is True
    finally:
        os.close(read_end)
        os.close(write_end)
    assert sink.write(line) is False


def test_a_full_file_is_rotated_and_only_so_many_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "app.log"
    sink = RotatingFileSink(path, size=100, count=2)
    for number in range(9):
        assert sink.write(f"{number:039d}\n".encode())
    sink.close()
    numbers = {
        name: [int(line) for line in (path.parent / name).read_text().splitlines()]
        for name in ("app.log", "app.log.1", "app.log.2")
    }
    assert numbers == {"app.log": [8], "app.log.1": [6, 7], "app.log.2": [4, 5]}
    assert not (path.parent / "app.log.3").exists()


def test_several_writers_share_a_rotating_file_without_losing_or_mixing_lines(tmp_path: Path) -> None:
    path, writers, each = tmp_path / "app.log", 4, 200

    def write(writer: int) -> None:
        sink = RotatingFileSink(path, size=4000, count=100)
        for number in range(each):
            assert sink.write(json.dumps({"writer": writer, "number": number}).encode() + b"\n")
        sink.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [
        json.loads(line)
        for file in tmp_path.glob("app.log*")
        if file.suffix != ".lock"
        for line in file.read_text().splitlines()
    ]
    assert len(list(tmp_path.glob("app.log.[0-9]*"))) > 3
    assert {(line["writer"], line["number"]) for line in found} == {(w, n) for w in range(writers) for n in range(each)}
    assert len(found) == writers * each


def test_a_file_that_somebody_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    sink = RotatingFileSink(path, size=1000, count=1)
    sink.write(b"before\n")
    path.rename(tmp_path / "moved")
    sink.write(b"after\n")
    sink.close()
    assert path.read_text() == "after\n"
    assert (tmp_path / "moved").read_text() == "before\n"


def test_the_sinks_are_standard_output_and_the_file_if_one_is_set(tmp_path: Path) -> None:
    assert [type(sink) for sink in open_sinks(None, megabytes=1, count=1)] == [StreamSink]
    sinks = open_sinks(tmp_path / "app.log", megabytes=1, count=1)
    assert [type(sink) for sink in sinks] == [StreamSink, RotatingFileSink]

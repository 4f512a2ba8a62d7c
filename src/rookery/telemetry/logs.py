"""JSON log lines: one object per line, with `timestamp`, `level`, `message` and the line's own fields.

Values are always encoded as JSON strings, so nothing that a client sends can begin a line of its own.
Request lines are sampled: so many a second are written, the others are counted, and the next line says how many.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from rookery.telemetry.log_sink import LogSink, RotatingFileSink, StreamSink

LONGEST_TEXT = 200
"""Longer texts of an answer do not go into its log line."""

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def open_sinks(file: Path | None, *, megabytes: float, count: int) -> list[LogSink]:
    """Return where a process writes its lines: standard output, and `file` if there is one."""
    sinks: list[LogSink] = [StreamSink()]
    if file is not None:
        sinks.append(RotatingFileSink(file, size=int(megabytes * 1e6), count=count))
    return sinks


class Log:
    """Writes JSON lines to sinks; `context` is part of every line.

    This is not structlog, whose import loads Rich with it wherever Rich is installed: 4.6 MB in every worker, a
    twentieth of what one may take. Level, context, traceback and JSON are all that we would ask of it.
    """

    def __init__(self, sinks: Sequence[LogSink], *, level: str = "info", **context: Any) -> None:
        self._sinks = tuple(sinks)
        self._level = LEVELS[level]
        self._context = context

    def write(self, level: str, message: str, /, **fields: Any) -> None:
        """Write a line, unless its level is below the log's."""
        self.write_fields(level, message, fields)

    def write_fields(
        self, level: str, message: str, fields: Mapping[str, Any], error: BaseException | None = None
    ) -> None:
        """Write a line whose fields may have any names, and with the traceback of an error if there is one."""
        if LEVELS[level] < self._level:
            return
        head = {"timestamp": _now(), "level": level, "message": message}
        # Once for the order and once more for the values: a field cannot take the place of these three.
        entry = {**head, **self._context, **fields, **head}
        if error is not None:
            entry["exception"] = "".join(traceback.format_exception(error))
        line = _encoder().encode(entry) + b"\n"
        for sink in self._sinks:
            sink.write(line)


def route_standard_logging(log: Log, *, level: str = "info") -> None:
    """Send what libraries log through `logging` to `log`, so that every line has one shape."""
    root = logging.getLogger()
    root.handlers[:] = [_Bridge(log)]
    root.setLevel(LEVELS[level])
    # uvicorn tells of every start and stop; the supervisor says so in its own words.
    logging.getLogger("uvicorn.error").setLevel(max(LEVELS[level], LEVELS["warning"]))


class PredictionLog:
    """Sampled lines about requests: at most `per_second` in each second, the rest counted.

    The caller asks for room once per pass and then logs that many calls::

        for call in calls[: log.claim(len(calls))]:
            log.log_prediction(...)
    """

    def __init__(self, log: Log, *, per_second: int) -> None:
        self._log = log
        self._per_second = per_second
        self._second = 0
        self._left = 0
        self._unreported = 0
        self.dropped = 0
        """Lines left out since the start."""

    def claim(self, count: int) -> int:
        """Return how many of `count` lines may be written now; the others count as left out."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._left = second, self._per_second
        granted = min(count, self._left)
        self._left -= granted
        if granted < count:
            self.dropped += count - granted
            self._unreported += count - granted
        return granted

    def log_prediction(
        self, service: str, answer: Mapping[str, Any], *, response_time_ms: float, request_id: str, version: str
    ) -> None:
        """Write one line about an answered prediction, with the answer's short scalar fields."""
        fields = {
            name: value
            for name, value in answer.items()
            if isinstance(value, int | float | bool) or (isinstance(value, str) and len(value) <= LONGEST_TEXT)
        }
        fields |= {"response_time_ms": response_time_ms, "request_id": request_id, "service": service}
        fields["model_version"] = version
        self._write("Prediction successful", fields)

    def log_request(
        self,
        service: str,
        *,
        status: int,
        response_time_ms: float,
        request_id: str,
        method: str = "POST",
        path: str = "",
        reason: str = "",
    ) -> None:
        """Write one line about any other request: a refused or failed prediction, or one of the other routes."""
        fields = {"method": method, "path": path[:LONGEST_TEXT], "status": status, "response_time_ms": response_time_ms}
        fields |= {"request_id": request_id, "service": service}
        if reason:
            fields["reason"] = reason[:LONGEST_TEXT]
        message = "Request answered" if status < 400 else "Request refused" if status < 500 else "Request failed"
        self._write(message, fields, level="error" if status >= 500 else "info")

    def _write(self, message: str, fields: MutableMapping[str, Any], level: str = "info") -> None:
        if self._unreported:
            fields["lines_left_out"], self._unreported = self._unreported, 0
        self._log.write_fields(level, message, fields)


@cache
def _encoder() -> msgspec.json.Encoder:
    return msgspec.json.Encoder(enc_hook=str)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Bridge(logging.Handler):
    """Hands records of `logging` to a `Log`."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= 40 else "warning" if record.levelno >= 30 else "info"
        if record.levelno < LEVELS["info"]:
            level = "debug"
        try:
            error = record.exc_info[1] if record.exc_info else None
            self._log.write_fields(level, record.getMessage(), {"logger": record.name}, error)
        except Exception:
            self.handleError(record)

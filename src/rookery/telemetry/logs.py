"""JSON log lines: one object per line, with `timestamp`, `level`, `message` and the line's own fields.

Values are always encoded as JSON strings, so nothing that a client sends can begin a line of its own.
Request lines are sampled: so many a second are written, the others are counted, and the next line says how many.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rookery.telemetry.log_sink import LogSink, RotatingFileSink, StreamSink

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

LONGEST_TEXT = 200
"""Longer texts of an answer do not go into its log line."""

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class SinkLogger:
    """The end of structlog's chain: hands the finished line to every sink."""

    def __init__(self, sinks: Sequence[LogSink]) -> None:
        self._sinks = sinks

    def msg(self, line: bytes) -> None:
        """Write one line everywhere."""
        for sink in self._sinks:
            sink.write(line)

    debug = info = warning = error = msg


def open_sinks(file: Path | None, *, megabytes: float, count: int) -> list[LogSink]:
    """Return where a process writes its lines: standard output, and `file` if there is one."""
    sinks: list[LogSink] = [StreamSink()]
    if file is not None:
        sinks.append(RotatingFileSink(file, size=int(megabytes * 1e6), count=count))
    return sinks


class Log:
    """A structlog logger that is made when it is needed, for `import structlog` costs a tenth of a second and 5 MB.

    With `hold`, lines wait until somebody calls `prepare`: a worker does so in a thread once it is ready, so that
    neither its start nor a request waits for that import. Otherwise the first line makes the logger.
    """

    def __init__(self, sinks: Sequence[LogSink], *, level: str = "info", hold: bool = False, **context: Any) -> None:
        self._held: list[tuple[str, str, dict[str, Any]]] | None = [] if hold else None
        self._sinks = tuple(sinks)
        self._level = LEVELS[level]
        self._context = context
        self._logger: FilteringBoundLogger | None = None

    def prepare(self) -> FilteringBoundLogger:
        """Make the logger, if that has not happened yet, and return it."""
        if self._logger is None:
            import structlog

            logger: FilteringBoundLogger = structlog.wrap_logger(
                SinkLogger(self._sinks),
                processors=[structlog.processors.format_exc_info, _render],
                wrapper_class=structlog.make_filtering_bound_logger(self._level),
            )
            self._logger = logger.bind(**self._context)
        held, self._held = self._held, None
        for level, message, fields in held or ():
            getattr(self._logger, level)(message, **fields)
        return self._logger

    def write(self, level: str, message: str, /, **fields: Any) -> None:
        """Write a line, unless its level is below the log's."""
        if LEVELS[level] < self._level:
            return
        held = self._held
        if held is not None:
            held.append((level, message, {**fields, "timestamp": _now()}))
        else:
            getattr(self.prepare(), level)(message, **fields)


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
        self._log.write(level, message, **fields)


@cache
def _encoder() -> msgspec.json.Encoder:
    return msgspec.json.Encoder(enc_hook=str)


def _render(_logger: Any, level: str, event: MutableMapping[str, Any]) -> bytes:
    """Return the finished line: timestamp, level and message first, then the fields in their order."""
    message = event.pop("event", "")
    return (
        _encoder().encode(
            {"timestamp": event.pop("timestamp", None) or _now(), "level": level, "message": message, **event}
        )
        + b"\n"
    )


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
            self._log.write(level, record.getMessage(), logger=record.name, exc_info=record.exc_info or False)
        except Exception:
            self.handleError(record)

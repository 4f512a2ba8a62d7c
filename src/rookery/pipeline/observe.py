"""`observe`: what the answered calls add to the metrics and to the sampled log, once a pass."""

from __future__ import annotations

import time

from rookery.pipeline.call import Call
from rookery.pipeline.endpoint import Endpoint, LoadedVersion
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.logs import PredictionLog


class Observe:
    """Count the calls of a pass by version and status; write log lines for as many as the log has room for."""

    def __init__(self, endpoint: Endpoint, metrics: WorkerMetrics, log: PredictionLog | None = None) -> None:
        self._service = endpoint.contract.name
        self._unversioned = metrics.series(self._service, "")
        self._log = log

    def __call__(self, calls: list[Call]) -> None:
        """Count every call of a pass."""
        now = time.perf_counter()
        groups: dict[tuple[LoadedVersion | None, int], list[Call]] = {}
        for call in calls:
            key = (call.version, call.status)
            group = groups.get(key)
            if group is None:
                groups[key] = [call]
            else:
                group.append(call)
        for (version, status), group in groups.items():
            series = self._unversioned if version is None else version.series
            rows = sum([call.stop - call.start for call in group if call.error is None])
            series.observe_many(status, [now - call.received for call in group], rows)
        if self._log is not None:
            for call in calls[: self._log.claim(len(calls))]:
                self._write_line(self._log, call, round((now - call.received) * 1e3, 3))

    def _write_line(self, log: PredictionLog, call: Call, milliseconds: float) -> None:
        request_id = call.request_id
        if call.error is None and call.version is not None:
            answer = call.logged_answer()
            log.log_prediction(
                self._service,
                answer,
                response_time_ms=milliseconds,
                request_id=request_id,
                version=call.version.version,
            )
        else:
            reason = "" if call.error is None else call.error.message
            log.log_request(
                self._service, status=call.status, response_time_ms=milliseconds, request_id=request_id, reason=reason
            )

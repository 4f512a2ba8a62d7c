"""`admit`: whether a call may be worked on at all."""

from __future__ import annotations

import time

from rookery.errors import DeadlineExceeded, NotReady
from rookery.pipeline.call import Pass
from rookery.pipeline.endpoint import Endpoint
from rookery.pipeline.ids import make_request_ids


class Admit:
    """Give every call its id; refuse calls that find no model, or that waited past their deadline."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._deadline_seconds = endpoint.contract.limits.deadline_seconds

    def __call__(self, work: Pass) -> None:
        """Refuse calls that must not be worked on."""
        calls, endpoint = work.calls, self._endpoint
        for call, request_id in zip(calls, make_request_ids(len(calls)), strict=True):
            call.request_id = request_id
        if endpoint.champion is None:
            for call in calls:
                call.error = NotReady(f"{endpoint.contract.name}: {endpoint.reason}")
            work.calls = []
            return
        oldest = time.perf_counter() - self._deadline_seconds
        if calls[0].received >= oldest:  # calls come in the order of their arrival
            return
        for call in calls:
            if call.received < oldest:
                call.error = DeadlineExceeded(f"{endpoint.contract.name}: the call waited longer than its deadline")
        work.calls = [call for call in calls if call.error is None]

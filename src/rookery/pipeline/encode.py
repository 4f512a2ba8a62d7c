"""`encode`: answers and errors as the bytes that are sent."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rookery.errors import InferenceFailed, RequestError
from rookery.pipeline.call import Call

ErrorEncoder = Callable[[RequestError], tuple[int, bytes]]
"""Gives an error its status and body; the door that owns the protocol knows both."""


class Encode:
    """Write every call's payload: its answer as strict JSON, or its error as the door phrases errors."""

    def __init__(self, encode_error: ErrorEncoder) -> None:
        self._encode_error = encode_error
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, calls: list[Call]) -> None:
        """Set the payload and status of every call."""
        encode = self._encode
        for call in calls:
            if call.error is None:
                try:
                    answer = call.answers[0] if call.kind == "single" else {"predictions": call.answers}
                    call.payload = encode(answer)
                    call.status = 200
                    continue
                except Exception:  # one that nests without end raises neither TypeError nor ValueError
                    call.error = InferenceFailed("the service's answer is no JSON")
            call.status, call.payload = self._encode_error(call.error)

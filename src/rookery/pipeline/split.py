"""`split`: which version answers which call."""

from __future__ import annotations

from rookery.pipeline.call import Call, Pass
from rookery.pipeline.endpoint import Endpoint, LoadedVersion


class Split:
    """Divide a pass by model version: by the sticky key where a call has one, else by its request id."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def __call__(self, work: Pass) -> list[Pass]:
        """Return one pass for each version that is to answer."""
        endpoint = self._endpoint
        if not endpoint.is_split:
            work.version = endpoint.champion
            for call in work.calls:
                call.version = work.version
            return [work]
        groups: dict[LoadedVersion, list[Call]] = {}
        for call in work.calls:
            call.version = endpoint.choose(call.sticky_key or call.request_id)
            groups.setdefault(call.version, []).append(call)
        parts = []
        for version, calls in groups.items():
            part = work.select(calls) if len(groups) > 1 else work
            part.version = version
            parts.append(part)
        return parts

"""The lane answering a constant: what HTTP alone costs, below which no prediction can go.

Call: python -m benchmarks.apps.lane_constant PORT
"""

from __future__ import annotations

import functools
import sys
from typing import Any, cast

import uvicorn

from benchmarks.apps.constant import BODY, app
from rookery.pipeline.call import Call
from rookery.serving.lane import Lane, LaneRoute
from rookery.serving.protocol import LaneProtocol

REQUEST_ID = "00000000-0000-7000-8000-000000000000"


class ConstantAnswers:
    """Stands where a service would: every call has the same answer."""

    is_light = True

    def answer_now(self, calls: list[Call]) -> None:
        """Answer all calls alike."""
        for call in calls:
            call.request_id = REQUEST_ID
            call.status = 200
            call.payload = BODY


def main() -> None:
    """Serve until a signal ends it."""
    lane = Lane({b"/predict": LaneRoute(ConstantAnswers(), "single")})
    protocol = cast(Any, functools.partial(LaneProtocol, lane))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http=protocol,
        loop="uvloop",
        ws="none",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()

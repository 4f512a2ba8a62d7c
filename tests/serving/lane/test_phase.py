"""What happens to a connection that stays in one phase is decided by phase and time alone."""

from __future__ import annotations

import pytest

from rookery.serving.lane import Deadlines
from rookery.serving.phase import Phase, verdict

DEADLINES = Deadlines(header=10, body=30, idle=65, unread=20, linger=2, drain=1)


@pytest.mark.parametrize(
    ("phase", "limit", "action"),
    [
        (Phase.IDLE, 65, "close"),
        (Phase.HEADERS, 10, "refuse"),
        (Phase.BODY, 30, "refuse"),
        (Phase.UNREAD, 20, "abort"),
        (Phase.LINGERING, 2, "abort"),
        (Phase.DRAINING, 1, "close"),
    ],
)
def test_each_phase_ends_after_its_deadline(phase: Phase, limit: float, action: str) -> None:
    assert verdict(phase, limit, DEADLINES) == "keep"
    assert verdict(phase, limit + 0.1, DEADLINES) == action


def test_a_connection_that_waits_for_the_service_is_never_cut_off() -> None:
    assert verdict(Phase.ANSWERING, 1e9, DEADLINES) == "keep"

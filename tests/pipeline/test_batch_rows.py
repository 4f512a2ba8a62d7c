"""How many rows are run together is found by measuring, also where something else has the processor."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rookery.pipeline.endpoint import LONGEST_RUN_SECONDS, find_batch_rows


class Stopwatch:
    """A model that takes `fixed` seconds a run and `each` a row; `slow` says which measurements are disturbed."""

    def __init__(self, *, fixed: float, each: float, slow: Mapping[int, float] | None = None) -> None:
        self.seconds = 0.0
        self.measured: list[int] = []
        self._fixed, self._each = fixed, each
        self._slow = dict(slow or {})

    def measure_latency(self, rows: int = 1) -> float:
        """Return what a run takes, four times as much where it is disturbed."""
        found = (self._fixed + self._each * rows) * self._slow.pop(len(self.measured), 1.0)
        self.measured.append(rows)
        self.seconds += found
        return found


@pytest.mark.parametrize(
    ("fixed", "each", "expected"),
    [(0.0, 0.020, 1), (0.001, 0.0, 16), (0.001, 0.0001, 16), (0.001, 0.001, 16), (0.001, 0.004, 4), (0.05, 0.05, 8)],
)
def test_each_doubling_must_pay(fixed: float, each: float, expected: int) -> None:
    assert find_batch_rows(Stopwatch(fixed=fixed, each=each), fixed + each) == expected


def test_one_disturbed_measurement_does_not_end_the_search() -> None:
    for disturbed in range(4):
        model = Stopwatch(fixed=0.001, each=0.0001, slow={disturbed: 4.0})
        assert find_batch_rows(model, 0.0011) == 16


def test_a_slow_model_is_not_kept_from_serving_by_being_measured() -> None:
    for single in (0.1, 0.3, 2.0, 60.0):
        model = Stopwatch(fixed=0.0, each=single)
        assert find_batch_rows(model, single) == 1
        assert model.seconds <= 4 * LONGEST_RUN_SECONDS

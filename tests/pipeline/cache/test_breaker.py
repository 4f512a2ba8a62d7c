"""The breaker lets calls through as its rules say, whatever happens in whatever order."""

from __future__ import annotations

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rookery.pipeline.cache.breaker import Breaker

FAILURES, PAUSE, LONGEST = 3, 1.0, 8.0


class Clock:
    """A time that moves when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class BreakerMachine(RuleBasedStateMachine):
    """Any sequence of calls, reports, lost probes and waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.chance = 0.0
        self.breaker = Breaker(
            failures=FAILURES, pause=PAUSE, longest_pause=LONGEST, clock=self.clock, chance=lambda: self.chance
        )
        self.in_a_row = 0
        self.openings = 0
        """Since the last success."""
        self.opened_at = 0.0
        self.probe_at: float | None = None

    @rule(chance=st.floats(0, 1, exclude_max=True))
    def draw(self, chance: float) -> None:
        self.chance = chance

    @rule(seconds=st.floats(0, 2 * LONGEST))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def succeed(self) -> None:
        self.breaker.succeeded()
        self.in_a_row = self.openings = 0
        self.probe_at = None

    @rule()
    def fail(self) -> None:
        self.breaker.failed()
        if self.openings == 0:
            self.in_a_row += 1
            if self.in_a_row == FAILURES:
                self.open()
        elif self.probe_at is not None:
            self.open()

    def open(self) -> None:
        self.openings += 1
        self.opened_at = self.clock.now
        self.probe_at = None

    @property
    def pause(self) -> float:
        return min(LONGEST, PAUSE * 2.0 ** (self.openings - 1))

    @precondition(lambda self: self.openings == 0)
    @rule()
    def ask_while_closed(self) -> None:
        assert self.breaker.allows()

    @precondition(lambda self: self.openings > 0)
    @rule()
    def ask_while_not_closed(self) -> None:
        """Not before half the pause, surely after it, and only one at a time."""
        since = self.clock.now - (self.opened_at if self.probe_at is None else self.probe_at)
        earliest = self.pause / 2 if self.probe_at is None else self.pause
        allowed = self.breaker.allows()
        assert allowed or since < self.pause + 1e-9
        assert not allowed or since > earliest - 1e-9
        if allowed:
            self.probe_at = self.clock.now
            assert not self.breaker.allows()

    @invariant()
    def state_is_what_the_model_says(self) -> None:
        assert self.breaker.closed == (self.openings == 0)
        expected = "closed" if self.openings == 0 else "open" if self.probe_at is None else "half-open"
        assert self.breaker.state == expected


BreakerMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase


@given(st.integers(1, 5_000))
def test_pauses_stay_below_the_cap_however_long_the_neighbour_is_down(probes: int) -> None:
    clock = Clock()
    breaker = Breaker(failures=1, pause=PAUSE, longest_pause=LONGEST, clock=clock, chance=lambda: 0.0)
    breaker.failed()
    for _ in range(probes):
        clock.now += LONGEST
        assert breaker.allows()
        breaker.failed()
        assert not breaker.allows()


def test_processes_do_not_try_again_all_at_once() -> None:
    """With chances spread evenly, no tenth of the pause sees more than a quarter of the probes."""
    moments = []
    for number in range(100):
        clock = Clock()
        breaker = Breaker(failures=1, pause=PAUSE, clock=clock, chance=partial(float, number / 100))
        breaker.failed()
        while not breaker.allows():
            clock.now += 0.01
        moments.append(clock.now - Clock.now)
    tenths = [int(10 * moment) for moment in moments]
    assert max(tenths.count(tenth) for tenth in tenths) <= 25

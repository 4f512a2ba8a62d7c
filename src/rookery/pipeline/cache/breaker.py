"""`Breaker`: whether to call a neighbour that has been failing; a decision without any call of its own."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Closed while calls succeed, open after several failures in a row, half-open while one call tries again.

    Ask `allows()` before each call and report with `succeeded()` or `failed()` after it. While open, `allows()`
    is False for a pause; then it is True once, for a probe: its success closes the breaker, its failure opens it for
    twice as long, up to `longest_pause`. Each pause is shortened at random by up to half, so that many processes do
    not try a neighbour that comes back all at once. A probe that reports nothing (its task was cancelled) is given up
    after a pause, and the next call is the probe. Any success closes: it is evidence, whoever brings it.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        pause: float = 0.5,
        longest_pause: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._allowed_failures = failures
        self._first_pause = pause
        self._longest_pause = longest_pause
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._pause = pause
        self._until: float | None = None
        """When the next probe may go; None while closed."""
        self._probing = False

    @property
    def state(self) -> State:
        """The state of the last decision or report."""
        if self._until is None:
            return "closed"
        return "half-open" if self._probing else "open"

    @property
    def closed(self) -> bool:
        """Whether calls go through freely; asking takes nobody's probe."""
        return self._until is None

    def allows(self) -> bool:
        """Tell whether to call now; a True while not closed makes this caller the probe."""
        if self._until is None:
            return True
        now = self._clock()
        if now < self._until:
            return False
        self._probing = True
        self._until = now + self._pause
        return True

    def succeeded(self) -> None:
        """Report a call that the neighbour answered."""
        self._failures = 0
        self._pause = self._first_pause
        self._until = None
        self._probing = False

    def failed(self) -> None:
        """Report a call that failed; a late one, begun before the breaker opened, changes nothing."""
        if self._until is None:
            self._failures += 1
            if self._failures >= self._allowed_failures:
                self._open()
        elif self._probing:
            self._pause = min(2 * self._pause, self._longest_pause)
            self._open()

    def _open(self) -> None:
        self._probing = False
        self._until = self._clock() + self._pause * (1 - self._chance() / 2)

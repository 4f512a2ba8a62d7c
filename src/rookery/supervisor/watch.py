"""Decisions of the supervisor: pure functions of what is known of a worker, and the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rookery.settings import Settings

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
STEADY_SECONDS = 60.0
"""A worker that lived this long made up for its predecessors' crashes."""
MEMORY_PAUSE_SECONDS = 60.0
"""A worker younger than this is not replaced for its memory: a limit below what a worker needs must not spin."""

Verdict = Literal["keep", "kill: no start", "kill: stuck", "kill: too slow to stop", "replace: memory"]


@dataclass(slots=True)
class WorkerFacts:
    """What the supervisor knows of one worker process; times are `time.monotonic()` seconds."""

    started: float
    ready: float | None = None
    last_beat: float = 0.0
    memory_mb: float = 0.0
    stopping: float | None = None
    """When it was told to stop."""


def judge(facts: WorkerFacts, settings: Settings, now: float) -> Verdict:
    """Decide what happens to a living worker."""
    if facts.stopping is not None:
        # The worker cancels what is left when its own time is up; what does not end even then is killed.
        return "kill: too slow to stop" if now - facts.stopping > settings.graceful_timeout + 2 else "keep"
    if facts.ready is None:
        return "kill: no start" if now - facts.started > settings.start_timeout else "keep"
    if now - facts.last_beat > settings.heartbeat_timeout:
        return "kill: stuck"
    limit = settings.max_memory_mb
    if limit is not None and facts.memory_mb > limit and now - facts.ready > MEMORY_PAUSE_SECONDS:
        return "replace: memory"
    return "keep"


def restart_delay(crashes: int) -> float:
    """Return how long to wait before the next start after so many crashes in a row: none at first, then doubling."""
    return 0.0 if crashes <= 1 else min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(crashes - 2, 20))


def crashes_in_a_row(former: int, lifetime: float) -> int:
    """Return the count of crashes after another one, of a worker that had lived for `lifetime` seconds."""
    return 1 if lifetime >= STEADY_SECONDS else former + 1


def threads_per_worker(threads: int, workers: int, cores: int) -> int:
    """Return the inference threads of each worker, so that all workers together have at most one per core."""
    return max(1, min(threads, cores // workers))

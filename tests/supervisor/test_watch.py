from __future__ import annotations

import pytest

from rookery.settings import Settings
from rookery.supervisor.watch import (
    LONGEST_DELAY,
    MEMORY_PAUSE_SECONDS,
    STEADY_SECONDS,
    WorkerFacts,
    crashes_in_a_row,
    judge,
    restart_delay,
    threads_per_worker,
)

SETTINGS = Settings(heartbeat_timeout=5.0, start_timeout=20.0, graceful_timeout=10.0, max_memory_mb=200.0)


def test_a_worker_that_beats_is_kept() -> None:
    assert judge(WorkerFacts(started=0, ready=1, last_beat=99, memory_mb=100), SETTINGS, now=100) == "keep"


def test_a_silent_event_loop_is_killed_at_its_time_and_not_before() -> None:
    facts = WorkerFacts(started=0, ready=1, last_beat=100)
    assert judge(facts, SETTINGS, now=105) == "keep"
    assert judge(facts, SETTINGS, now=105.1) == "kill: stuck"


def test_a_starting_worker_need_not_beat_but_has_to_come_up() -> None:
    facts = WorkerFacts(started=0)
    assert judge(facts, SETTINGS, now=19) == "keep"
    assert judge(facts, SETTINGS, now=21) == "kill: no start"


def test_a_stopping_worker_gets_its_grace_and_no_more() -> None:
    facts = WorkerFacts(started=0, ready=1, last_beat=50, stopping=100)
    assert judge(facts, SETTINGS, now=111) == "keep"
    assert judge(facts, SETTINGS, now=112.5) == "kill: too slow to stop"


def test_a_worker_above_its_memory_is_replaced_but_not_again_and_again() -> None:
    young = WorkerFacts(started=0, ready=1, last_beat=30, memory_mb=300)
    assert judge(young, SETTINGS, now=30) == "keep"
    now = 1 + MEMORY_PAUSE_SECONDS + 1
    old = WorkerFacts(started=0, ready=1, last_beat=now, memory_mb=300)
    assert judge(old, SETTINGS, now=now) == "replace: memory"
    assert judge(old, Settings(max_memory_mb=None), now=now) == "keep"


def test_the_first_crash_is_repaired_at_once_and_a_crash_loop_slows_down_to_a_cap() -> None:
    delays = [restart_delay(crashes) for crashes in range(1, 60)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY
    assert delays[1] < 1


def test_a_steady_life_makes_up_for_former_crashes() -> None:
    assert crashes_in_a_row(5, STEADY_SECONDS) == 1
    assert crashes_in_a_row(5, 1.0) == 6


@pytest.mark.parametrize(
    ("threads", "workers", "cores", "each"), [(1, 2, 2, 1), (8, 2, 8, 4), (3, 2, 8, 3), (4, 4, 2, 1), (4, 1, 2, 2)]
)
def test_all_workers_together_use_at_most_one_thread_per_core(
    threads: int, workers: int, cores: int, each: int
) -> None:
    assert threads_per_worker(threads, workers, cores) == each
    assert each == 1 or each * workers <= cores

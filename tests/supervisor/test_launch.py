from __future__ import annotations

import os

from rookery.supervisor.heartbeat import EXIT_ORPHANED
from rookery.supervisor.launch import launch_worker


def test_a_worker_without_orders_ends_quietly_with_its_supervisor() -> None:
    launched = launch_worker()
    launched.lifeline.close()
    assert launched.process.wait(30) == EXIT_ORPHANED


def test_a_discarded_worker_is_gone_at_once() -> None:
    launched = launch_worker()
    launched.discard()
    assert launched.process.returncode is not None
    assert launched.lifeline.fileno() == -1


def test_orders_to_a_worker_that_died_are_no_error() -> None:
    launched = launch_worker()
    launched.process.kill()
    launched.process.wait(10)
    read_end, write_end = os.pipe()
    launched.send(b"{}\n", [write_end])
    assert launched.has_orders
    os.close(read_end)
    os.close(write_end)
    launched.lifeline.close()

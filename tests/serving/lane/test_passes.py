"""When a pass begins: in the next turn of the event loop, and one turn later where calls come together."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from rookery.pipeline.call import Call
from rookery.serving.lane import Lane, LaneRoute
from tests.serving.lane.server import EchoMount


class Turns:
    """An event loop whose turns are taken one by one."""

    def __init__(self) -> None:
        self._ready: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._ready.append(callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        del seconds, callback

    def time(self) -> float:
        return 0.0

    def turn(self) -> None:
        ready, self._ready = self._ready, []
        for callback in ready:
            callback()


class Counter:
    """A connection that counts its answers."""

    def __init__(self) -> None:
        self.answers = 0

    def send_answer(self, call: Call, head: bytes) -> None:
        self.answers += 1


def test_calls_that_come_together_wait_one_turn_for_those_on_their_way() -> None:
    lane, mount, loop, client = Lane({}), EchoMount(), Turns(), Counter()
    state: Any = SimpleNamespace(connections=set(), default_headers=[], total_requests=0)
    event_loop: Any = loop
    lane.attach(state, event_loop)

    def submit(count: int) -> None:
        for _ in range(count):
            lane.submit(LaneRoute(mount, "single"), Call("single", b"1", 0.0, reply_to=client))

    submit(1)
    loop.turn()
    assert mount.passes == [1]
    submit(2)
    loop.turn()
    assert mount.passes == [1, 2]
    submit(1)
    loop.turn()
    assert mount.passes == [1, 2]
    submit(3)
    loop.turn()
    assert mount.passes == [1, 2, 4]
    submit(1)
    loop.turn()
    loop.turn()
    submit(1)
    loop.turn()
    assert mount.passes == [1, 2, 4, 1, 1]
    assert client.answers == state.total_requests == 9


def test_a_pass_that_somebody_else_ran_leaves_nothing_behind() -> None:
    lane, mount, loop, client = Lane({}), EchoMount(), Turns(), Counter()
    state: Any = SimpleNamespace(connections=set(), default_headers=[], total_requests=0)
    event_loop: Any = loop
    lane.attach(state, event_loop)
    for count in (2, 1, 1):
        for _ in range(count):
            lane.submit(LaneRoute(mount, "single"), Call("single", b"1", 0.0, reply_to=client))
        lane.run_pass()
    for _ in range(4):
        loop.turn()
    assert mount.passes == [2, 1, 1]
    assert client.answers == 4

"""`serve`: one server from its first process to its last.

Imports little: what this module and those it needs cost at start is time before the first answer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType

from rookery.settings import Settings
from rookery.supervisor.banner import banner_lines
from rookery.supervisor.binding import check_binding, open_socket
from rookery.supervisor.chronicle import Chronicle
from rookery.supervisor.crew import Crew
from rookery.supervisor.launch import LaunchedWorker
from rookery.supervisor.registry_sync import may_synchronise, synchronise_in_background
from rookery.supervisor.run_folder import make_run_folder

TICK_SECONDS = 0.2
SNAPSHOT_SECONDS = 1.0


def serve(
    settings: Settings,
    services: tuple[str, ...],
    *,
    optional: tuple[str, ...] = (),
    announce: Callable[[str], None],
    launched: LaunchedWorker | None = None,
) -> None:
    """Serve until a signal ends it.

    SIGTERM or SIGINT: no new connections, open requests are answered, then this returns; a second one kills.
    SIGHUP: every worker is replaced by a fresh one while the port answers. `services` may be empty with
    `settings.package`; those in `optional` may lack a version. `announce` gets the lines that are meant for persons.
    `launched` becomes the first worker; the caller discards it if this raises before it has orders.

    Raises:
        ServeError: the server cannot start; nothing is left running.
    """
    check_binding(settings.host, insecure=settings.insecure)
    listener = open_socket(settings.host, settings.port)
    settings = replace(settings, port=listener.getsockname()[1])
    folder = make_run_folder(settings.home)
    try:
        chronicle = Chronicle(settings, folder / "metrics")
        crew = Crew(
            settings,
            services,
            listener,
            folder / "metrics",
            optional=optional,
            tell=chronicle.tell,
            retire=chronicle.retire,
        )
        with _signals() as wishes:
            crew.start(launched)
            crew.watch(wishes.wake)
            registered = tuple(name for name in services if name not in optional)
            _run(settings, registered, crew, chronicle, wishes, announce)
            listener.close()
            if crew.ready_report is not None:
                announce("Stopping: open requests are answered, new ones are refused")
            _drain(crew, wishes)
    finally:
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)


class _Wishes:
    """What signals have asked for."""

    def __init__(self, wake: int) -> None:
        self.wake = wake
        """A descriptor that can be read when there is something new."""
        self.stops = 0
        self.reload = False

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stops += 1


@contextlib.contextmanager
def _signals() -> Iterator[_Wishes]:
    """Note SIGTERM, SIGINT and SIGHUP instead of dying of them."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    wishes = _Wishes(read_end)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    former = {number: signal.signal(number, wishes.note) for number in numbers}
    former_wake = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    try:
        yield wishes
    finally:
        signal.set_wakeup_fd(former_wake)
        for number, handler in former.items():
            signal.signal(number, handler)
        os.close(read_end)
        os.close(write_end)


def _run(
    settings: Settings,
    services: tuple[str, ...],
    crew: Crew,
    chronicle: Chronicle,
    wishes: _Wishes,
    announce: Callable[[str], None],
) -> None:
    """Watch the workers until somebody asks to stop."""
    announced, written, next_snapshot = False, (0, 0), 0.0
    try:
        while not wishes.stops:
            crew.wait(TICK_SECONDS)
            crew.tend()
            if wishes.reload:
                wishes.reload = False
                crew.reload()
            if crew.ready_report is None:
                continue
            if not announced:
                announced = True
                for line in banner_lines(settings, crew.ready_report):
                    announce(line)
                if services and may_synchronise(settings):
                    synchronise_in_background(settings, services, chronicle.tell)
            changed = (crew.ready, sum(crew.restarts.values()))
            if changed != written or time.monotonic() >= next_snapshot:
                written, next_snapshot = changed, time.monotonic() + SNAPSHOT_SECONDS
                chronicle.write_metrics(crew)
    except BaseException:
        crew.kill()
        while crew.alive:
            crew.wait(TICK_SECONDS / 4)
            crew.tend()
        raise


def _drain(crew: Crew, wishes: _Wishes) -> None:
    """Stop the workers and wait until each has left; a further signal ends them at once."""
    crew.stop()
    asked = wishes.stops
    while crew.alive:
        if wishes.stops > asked:
            asked = wishes.stops
            crew.kill()
        crew.wait(TICK_SECONDS / 4)
        crew.tend()

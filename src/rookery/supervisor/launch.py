"""`LaunchedWorker`: a worker process that loads its libraries and waits for its orders.

Imports next to nothing: `rookery serve` launches its first worker before it reads its own command line.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys


class LaunchedWorker:
    """A worker without orders yet; it ends by itself when the supervisor's end of its lifeline is closed."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: socket.socket) -> None:
        self.process = process
        self.lifeline = lifeline
        """The supervisor's end: down it go the orders, and nothing afterwards."""
        self.has_orders = False

    def send(self, orders: bytes, descriptors: list[int]) -> None:
        """Give the worker its orders, and copies of the descriptors that go with them."""
        self.has_orders = True
        # A worker that died at once leaves nobody to read; its exit code tells more than the error here.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sent = socket.send_fds(self.lifeline, [orders], descriptors)
            self.lifeline.sendall(orders[sent:])

    def discard(self) -> None:
        """End a worker that was never given orders."""
        self.process.kill()
        self.process.wait()
        self.lifeline.close()


def launch_worker() -> LaunchedWorker:
    """Start a worker process.

    It is a new program, not a fork, and leads a session of its own: a Ctrl-C in the terminal reaches the supervisor
    alone, which then stops its workers in order. Files in the working directory hide no library (`-P`). NumPy's
    linear algebra gets one thread unless the environment says otherwise: models run in ONNX Runtime, whose threads
    are counted, and a second pool would only take cores and start-up time from the workers.
    """
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", "rookery.supervisor.worker", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            env={"OPENBLAS_NUM_THREADS": "1", **os.environ},
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return LaunchedWorker(process, ours)

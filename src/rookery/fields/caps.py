"""Caps: bodies that are refused unread, because reading them would cost more than any honest request."""

from __future__ import annotations

import numpy as np

from rookery.fields.schema import InputSchema

SPARE_VALUES = 1_000
"""Values that a body may have beyond those its inputs need, so that ordinary mistakes are explained one by one."""
SPARE_OBJECTS = 16
"""Objects that a body may have beyond its inputs, for the same reason."""
LONG_BODY = 4_096
"""Bytes from which on it pays to hand a body to numpy."""


class ValueCap:
    """How many values and objects a body of at most `rows` inputs can have.

    A validator reports every unknown field and everything that a row lacks: 2 MB of `{}` are millions of errors and
    seconds of work. Counting separators takes microseconds and needs no parsing.
    """

    def __init__(self, schema: InputSchema, rows: int) -> None:
        texts = [str(category) for column in schema.columns for category in column.categories]
        separators = max((text.count(",") + text.count(":") for text in texts), default=0)
        braces = max((text.count("{") for text in texts), default=0)
        self._values = SPARE_VALUES + 2 * rows * schema.width * (1 + separators)
        self._objects = SPARE_OBJECTS + rows * (1 + braces * schema.width)

    def is_exceeded(self, body: bytes) -> bool:
        """Tell whether a body has more values, fields or objects than its inputs could have."""
        # A value takes a byte and its separator, so that most bodies are passed by their length alone.
        if len(body) > 2 * self._objects and _count(body, b"{") > self._objects:
            return True
        return len(body) > 2 * self._values and max(_count(body, b","), _count(body, b":")) > self._values


def _count(body: bytes, character: bytes) -> int:
    """Return how often a character occurs; where it may occur often, numpy counts several times faster."""
    if len(body) < LONG_BODY:
        return body.count(character)
    return int(np.count_nonzero(np.frombuffer(body, dtype=np.uint8) == character[0]))

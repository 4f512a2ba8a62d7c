"""Load on iris: flowers."""

from __future__ import annotations

import random
from typing import Any

from loadtests.users import rows_user


def make_flower(chance: random.Random) -> dict[str, Any]:
    """Return a plausible flower."""
    lengths = ((4.3, 7.9), (2.0, 4.4), (1.0, 6.9), (0.1, 2.5))
    return {"features": [round(chance.uniform(low, high), 1) for low, high in lengths]}


class IrisUser(rows_user(make_flower)):  # type: ignore[misc]
    """Sends flowers."""

"""Load on penguins: measurements as they are found on the Palmer Archipelago."""

from __future__ import annotations

import random
from typing import Any

from loadtests.users import rows_user


def make_penguin(chance: random.Random) -> dict[str, Any]:
    """Return a plausible penguin."""
    return {
        "bill_length_mm": round(chance.uniform(33, 58), 1),
        "bill_depth_mm": round(chance.uniform(13.5, 21), 1),
        "flipper_length_mm": chance.randint(175, 230),
        "body_mass_g": chance.randint(2800, 6200),
        "year": chance.choice([2007, 2008, 2009]),
        "sex": chance.choice(["female", "male"]),
        "island": chance.choice(["Torgersen", "Biscoe", "Dream"]),
    }


class PenguinsUser(rows_user(make_penguin)):  # type: ignore[misc]
    """Sends penguins."""

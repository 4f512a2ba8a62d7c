"""Load on housing: districts around San Francisco."""

from __future__ import annotations

import random
from typing import Any

from loadtests.users import rows_user


def make_district(chance: random.Random) -> dict[str, Any]:
    """Return a plausible district."""
    occupancy = round(chance.uniform(2, 4), 2)
    return {
        "MedInc": round(chance.uniform(1.5, 9), 4),
        "HouseAge": chance.randint(5, 50),
        "AveRooms": round(chance.uniform(4, 8), 2),
        "AveBedrms": round(chance.uniform(0.95, 1.2), 2),
        "Population": round(occupancy * chance.randint(200, 800)),
        "AveOccup": occupancy,
        "Latitude": round(chance.uniform(37.3, 37.9), 2),
        "Longitude": round(chance.uniform(-122.4, -122.0), 2),
    }


class HousingUser(rows_user(make_district)):  # type: ignore[misc]
    """Sends districts."""

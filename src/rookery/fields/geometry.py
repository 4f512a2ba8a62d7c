"""Geometry of points given in degrees: inside a polygon, and how far apart."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Polygon: TypeAlias = tuple[tuple[float, float], ...]
"""(latitude, longitude) vertices in degrees."""

EARTH_RADIUS_KM = 6371.0088
"""Mean Earth radius (IUGG), used by `distance_km`."""


def is_inside(latitude: Array, longitude: Array, polygon: Polygon) -> Array:
    """Tell which points lie inside a polygon (even-odd rule, edges crossed by a ray of growing longitude).

    Args:
        latitude: degrees, [n] or [].
        longitude: degrees, [n] or [].
        polygon: at least three vertices.
    """
    edge_latitude, edge_other, edge_longitude, slope = _edges(polygon)
    crosses = (edge_latitude > latitude) != (edge_other > latitude)
    crosses &= longitude < slope * (latitude - edge_latitude) + edge_longitude
    odd: Array = np.bitwise_xor.reduce(crosses, axis=0)
    return odd if latitude.ndim or longitude.ndim else odd.reshape(())


@lru_cache(maxsize=256)
def _edges(polygon: Polygon) -> tuple[Array, Array, Array, Array]:
    """Return each edge's latitudes, and the longitude and slope at the second; level edges cross no ray."""
    vertices = np.asarray(polygon, dtype=np.float64)
    previous = np.roll(vertices, 1, axis=0)
    sloping = vertices[:, 0] != previous[:, 0]
    (latitude, longitude), (other, other_longitude) = vertices[sloping].T, previous[sloping].T
    slope = (other_longitude - longitude) / (other - latitude)
    return latitude[:, None], other[:, None], longitude[:, None], slope[:, None]


def measure_km(latitude: Array, longitude: Array, to_latitude: Array, to_longitude: Array) -> Array:
    """Return great-circle distances in km by the haversine formula; all angles in degrees."""
    phi, to_phi = np.radians(latitude), np.radians(to_latitude)
    half_phi, half_lambda = (to_phi - phi) / 2, np.radians(to_longitude - longitude) / 2
    chord = np.sin(half_phi) ** 2 + np.cos(phi) * np.cos(to_phi) * np.sin(half_lambda) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(chord, 1))))

"""Pictures made by whole-number arithmetic: the same bits on every machine, for golden cases and warm-ups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Grid = npt.NDArray[np.int64]
"""int64 [height, width]: a coordinate, or a brightness of 0 to 255."""

_MULTIPLIER = 6364136223846793005
_INCREMENT = 1442695040888963407
_HASH_MASK = 0xFFFFFFFF


class _Numbers:
    """A linear congruential generator: the same numbers for the same seed, in every version of everything."""

    def __init__(self, seed: int) -> None:
        self._state = seed
        for _ in range(4):  # neighbouring seeds are apart after a few steps
            self.draw(0, 1)

    def draw(self, low: int, high: int) -> int:
        """Return a whole number between low and high, both included."""
        self._state = (self._state * _MULTIPLIER + _INCREMENT) % 2**64
        return low + (self._state >> 33) % (high - low + 1)


def generate_picture(number: int, *, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return the picture of a number: two patterns in four colours, writing over them and a little noise.

    Args:
        number: chooses the picture; each whole number has its own.
        width: in pixels, at least 1.
        height: in pixels, at least 1.

    Returns:
        uint8 [height, width, 3], RGB.
    """
    numbers = _Numbers(number)
    y, x = np.indices((height, width), dtype=np.int64)
    first = _PATTERNS[number % len(_PATTERNS)](x, y, numbers)
    second = _PATTERNS[(number // len(_PATTERNS) + numbers.draw(0, 2)) % len(_PATTERNS)](x, y, numbers)
    weight = _PATTERNS[numbers.draw(0, len(_PATTERNS) - 1)](x, y, numbers)
    ink, noise = _writing(x, y, numbers), _noise(x, y, numbers)
    mixed = (first * weight + second * (255 - weight)) // 255
    is_negative, is_dark_ink = numbers.draw(0, 1), numbers.draw(0, 1)
    channels = []
    for _ in range(3):
        # The channels brighten together, so that the picture keeps its contrast in grey.
        plain = numbers.draw(0, 90) + mixed * numbers.draw(70, 165) // 255
        plain = 255 - plain if is_negative else plain
        letter = numbers.draw(0, 70) if is_dark_ink else numbers.draw(185, 255)
        written = plain + (letter - plain) * ink // 255
        channels.append(np.clip(written + noise // 16 - 8, 0, 255).astype(np.uint8))
    return np.ascontiguousarray(np.stack(channels, axis=-1))


def _gradient(x: Grid, y: Grid, numbers: _Numbers) -> Grid:
    """Brightness that rises once across the picture, in some direction."""
    across, down = numbers.draw(-8, 8), numbers.draw(1, 8)
    return _spread(across * x + down * y)


def _stripes(x: Grid, y: Grid, numbers: _Numbers) -> Grid:
    across, down = numbers.draw(-4, 4), numbers.draw(1, 4)
    return _wave(across * x + down * y, numbers.draw(16, 160))


def _rings(x: Grid, y: Grid, numbers: _Numbers) -> Grid:
    """Circles that narrow with their distance from a centre."""
    height, width = x.shape
    right, below = numbers.draw(0, width), numbers.draw(0, height)
    period = max(1, width * height // numbers.draw(4, 24))
    return _wave((x - right) ** 2 + (y - below) ** 2, period)


def _checkers(x: Grid, y: Grid, numbers: _Numbers) -> Grid:
    side = _part(x, numbers.draw(4, 16))
    return ((x // side + y // side) % 2) * 255


def _blobs(x: Grid, y: Grid, numbers: _Numbers) -> Grid:
    """Round spots with soft edges that add up."""
    height, width = x.shape
    total = np.zeros_like(x)
    for _ in range(numbers.draw(5, 14)):
        right, below = numbers.draw(0, width), numbers.draw(0, height)
        radius = max(1, min(width, height) // numbers.draw(3, 12))
        square = (x - right) ** 2 + (y - below) ** 2
        total += np.maximum(0, 255 - 255 * square // radius**2)
    return np.minimum(total, 255)


def _patches(x: Grid, y: Grid, numbers: _Numbers) -> Grid:
    """Tiles, each of a brightness of its own."""
    side = _part(x, numbers.draw(5, 20))
    return _hash(x // side, y // side, numbers.draw(0, _HASH_MASK)) % 256


def _noise(x: Grid, y: Grid, numbers: _Numbers) -> Grid:
    return _hash(x, y, numbers.draw(0, _HASH_MASK)) % 256


def _writing(x: Grid, y: Grid, numbers: _Numbers) -> Grid:
    """Lines of small angular letters, 255 where there is ink; about two lines of three are blank."""
    dot = _part(x, numbers.draw(60, 120))
    column, row = x // dot, y // dot
    letter, line = column // 6, row // 9
    seed = numbers.draw(0, _HASH_MASK)
    within = (column % 6 < 5) & (row % 9 < 7)
    shape = _hash(column % 6 // 2 + 8 * (row % 9 // 2), _hash(letter, line, seed) % 64, seed) % 5 < 2
    is_written = (_hash(line, line, seed) % 3 == 0) | (line == line.max() // 2)
    return np.where(within & shape & is_written, 255, 0).astype(np.int64)


_PATTERNS: tuple[Callable[[Grid, Grid, _Numbers], Grid], ...] = (
    _gradient,
    _rings,
    _patches,
    _blobs,
    _stripes,
    _checkers,
    _noise,
)


def _part(x: Grid, count: int) -> int:
    """Return the side of a tile, in pixels, of which `count` fit along the picture's longer side."""
    return max(1, max(len(x), len(x[0])) // count)


def _wave(value: Grid, period: int) -> Grid:
    """Brightness that rises and falls once within a period."""
    return 255 - np.abs(510 * (value % period) // period - 255)


def _spread(value: Grid) -> Grid:
    low, high = int(value.min()), int(value.max())
    return (value - low) * 255 // max(1, high - low)


def _hash(x: Grid, y: Grid, seed: int) -> Grid:
    """Return scattered whole numbers of 16 bits; every product stays below 2**63."""
    value: Grid = (x * 73_856_093 + y * 19_349_663 + seed) & _HASH_MASK
    for _ in range(2):
        value = ((value ^ (value >> 15)) * 739_982_445) & _HASH_MASK
    return (value ^ (value >> 16)) & 0xFFFF

"""Probabilities: rows of a classification's outputs as numbers by label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat, starmap
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Labeller: TypeAlias = "Callable[[Sequence[Sequence[float]]], list[dict[str, float]]]"
"""Gives every row of numbers its labels."""

DECIMALS = 6
"""Probabilities are answered with so many decimals: float32 carries no more that can be relied on."""
FEW_NUMBERS = 8
"""So few numbers are rounded one by one sooner than as an array."""


def round_probabilities(outputs: npt.NDArray[np.float32]) -> list[list[float]]:
    """Return float32 [n, labels] as rows of numbers with `DECIMALS` decimals.

    Both ways give the same numbers: a float32 times a million is exact in float64, so that both round the same value.
    """
    scale = 10.0**DECIMALS
    if outputs.size <= FEW_NUMBERS:
        return [[round(value * scale) / scale for value in row] for row in outputs.tolist()]
    scaled = np.multiply(outputs, scale, dtype=np.float64)
    np.rint(scaled, scaled)
    rounded: list[list[float]] = np.divide(scaled, scale, scaled).tolist()
    return rounded


@lru_cache(maxsize=256)
def make_labeller(labels: tuple[str, ...]) -> Labeller:
    """Return what makes the dictionaries of rows of numbers.

    A struct whose fields are named as the labels becomes a dictionary in half the time that `dict(zip(...))` takes.
    """
    names = [f"label_{place}" for place in range(len(labels))]
    fields: list[Any] = [(name, float) for name in names]
    try:
        kind = msgspec.defstruct("Probabilities", fields, rename=dict(zip(names, labels, strict=True)), gc=False)
    except ValueError:  # a label with a quote, say, cannot name a field
        return lambda rows: list(map(dict, map(zip, repeat(labels), rows)))
    to_builtins = msgspec.to_builtins
    return lambda rows: to_builtins(list(starmap(kind, rows)))

"""Datasets: what a service's `data` function returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Training rows: input columns by the input model's field names, and the true outcome of each row.

    `columns` maps each field to n values (a vector field: n sequences, or an array [n, length]); a pandas
    DataFrame serves as well. `target` holds n labels (classification) or numbers (regression).
    """

    columns: Mapping[str, Sequence[Any]] | Any
    target: Sequence[Any] | Any
    source: str = ""
    """Where the rows come from, in a few words for the model card."""
    synthetic: bool = False
    """Invented rows: card, `/info` and console say so, and such a version is never compared with a real one."""

"""Splits: which rows teach and which judge, decided by each row's own content.

**Held-out part.** A row is drawn by a hash of its encoded inputs and the seed: a number in [0, 1) that depends on
nothing else. Rows below `test_share` are held out. So a row keeps its side when others come or go (one that trained a
champion never tests its challenger), its repeats fall on its side, and a corrected label does not move it. Such
a draw is stratified in expectation, as every class is drawn at the same rate; an exact quota per class would move old
rows whenever new ones come. What chance leaves over is checked: every class must be on both sides.

**Folds.** A cross-validation is computed anew each time, so its folds are exactly stratified: within each class
(regression: each tenth of the target's range of ranks) distinct contents are dealt out in the order of their draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rookery.errors import DataError
from rookery.service.task import Classification, Task
from rookery.training.rows import Indices, Matrix, Target, canonical_rows, group_rows

STRATA = 10
"""Equal parts of a regression's sorted target that each fold gets its share of."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row numbers of the part that teaches and of the part that judges; both ascending."""

    train: Indices
    test: Indices


def draw_rows(matrix: Matrix, *, seed: int, salt: str = "held-out") -> npt.NDArray[np.float64]:
    """Return one number in [0, 1) per row, by its content, the seed and the salt alone."""
    key = hashlib.sha256(f"{salt}:{seed}".encode()).digest()
    rows = canonical_rows(matrix)
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8, key=key).digest() for row in rows)
    return (np.frombuffer(digests, dtype="<u8") >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def is_held_out(matrix: Matrix, *, seed: int, test_share: float) -> npt.NDArray[np.bool_]:
    """Tell which rows judge, under this seed and share; for any rows, whether they are here today or not."""
    return draw_rows(matrix, seed=seed) < test_share


def split_rows(service: str, task: Task, matrix: Matrix, target: Target, *, seed: int, test_share: float) -> Split:
    """Split rows into those that teach and those that judge.

    Raises:
        DataError: a side is empty or lacks a class, which a small or rare class can suffer by chance.
    """
    held_out = is_held_out(matrix, seed=seed, test_share=test_share)
    split = Split(train=np.flatnonzero(~held_out), test=np.flatnonzero(held_out))
    cure = "Bring more rows of it, or choose another seed or test_share"
    for side, rows in (("training", split.train), ("held-out", split.test)):
        if isinstance(task, Classification):
            counts = np.bincount(target[rows].astype(np.int64), minlength=len(task.labels))
            absent = [label for label, count in zip(task.labels, counts, strict=True) if not count]
            if absent:
                raise DataError(f"{service}: class {absent[0]!r} has no row in the {side} part", cure=cure)
        elif len(np.unique(target[rows])) < 2:
            raise DataError(f"{service}: the {side} part has fewer than two different outcomes", cure=cure)
    return split


def fold_rows(task: Task, matrix: Matrix, target: Target, *, folds: int, repeats: int, seed: int) -> Iterator[Split]:
    """Yield `repeats` times `folds` stratified splits; every row judges once per repeat, repeats stay together."""
    first, group = group_rows(matrix)
    contents = matrix[first]
    strata = _stratify(task, target[first])
    for repeat in range(repeats):
        draws = draw_rows(contents, seed=seed, salt=f"fold {repeat}")
        # Dealt class by class without starting over, so that fold sizes differ by one at most.
        order = np.lexsort((draws, strata))
        fold = np.empty(len(contents), dtype=np.intp)
        fold[order] = np.arange(len(contents)) % folds
        of_row = fold[group]
        for number in range(folds):
            yield Split(train=np.flatnonzero(of_row != number), test=np.flatnonzero(of_row == number))


def _stratify(task: Task, target: Target) -> npt.NDArray[np.int64]:
    if isinstance(task, Classification):
        return target.astype(np.int64)
    ranks = np.argsort(np.argsort(target, kind="stable"), kind="stable")
    return np.asarray(ranks * STRATA // len(target), dtype=np.int64)

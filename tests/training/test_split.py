"""Splits: a row's side is decided by its content and the seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rookery.errors import DataError
from rookery.service.task import Classification, Regression
from rookery.training.rows import group_rows
from rookery.training.split import draw_rows, fold_rows, is_held_out, split_rows

TASK = Classification("a", "b", "c")


def make_rows(count: int, seed: int = 0) -> tuple[Any, Any]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(count, 3)).astype(np.float32), draw.choice(3, count, p=[0.6, 0.3, 0.1])


def test_adding_removing_and_reordering_rows_moves_no_row_to_the_other_side() -> None:
    matrix, _ = make_rows(500)
    held_out = is_held_out(matrix, seed=3, test_share=0.2)
    more = np.concatenate([make_rows(700, seed=9)[0], matrix])
    assert np.array_equal(is_held_out(more, seed=3, test_share=0.2)[700:], held_out)
    order = np.random.default_rng(1).permutation(500)[:250]
    assert np.array_equal(is_held_out(matrix[order], seed=3, test_share=0.2), held_out[order])


def test_a_corrected_label_does_not_move_its_row() -> None:
    matrix, target = make_rows(500)
    before = split_rows("s", TASK, matrix, target, seed=0, test_share=0.2)
    after = split_rows("s", TASK, matrix, (target + 1) % 3, seed=0, test_share=0.2)
    assert np.array_equal(before.test, after.test)


def test_repeats_fall_on_one_side_whatever_the_spelling_of_zero_and_missing() -> None:
    other_nan = np.array([0x7FC00001], dtype=np.uint32).view(np.float32)[0]
    rows = np.array([[0.0, np.nan, 1], [-0.0, other_nan, 1]], dtype=np.float32)
    assert draw_rows(rows, seed=0)[0] == draw_rows(rows, seed=0)[1]
    first, group = group_rows(rows)
    assert len(first) == 1
    assert group.tolist() == [0, 0]


def test_another_seed_draws_another_part_of_about_the_same_share() -> None:
    matrix, _ = make_rows(5_000)
    one, two = (is_held_out(matrix, seed=seed, test_share=0.2) for seed in (0, 1))
    for part in (one, two):
        assert 0.18 < part.mean() < 0.22
    # Independent draws of a fifth share a twenty-fifth of all rows.
    assert 0.03 < (one & two).mean() < 0.05


def test_every_class_gets_about_its_share() -> None:
    matrix, target = make_rows(5_000)
    split = split_rows("s", TASK, matrix, target, seed=0, test_share=0.2)
    assert sorted([*split.train, *split.test]) == list(range(5_000))
    for label in range(3):
        assert 0.15 < (target[split.test] == label).sum() / (target == label).sum() < 0.25


def test_a_class_that_is_missing_from_a_side_is_named() -> None:
    matrix, _ = make_rows(200)
    held_out = is_held_out(matrix, seed=0, test_share=0.2)
    target = np.where(held_out, 0, 1)
    target[np.flatnonzero(~held_out)[0]] = 0
    target[np.flatnonzero(held_out)[0]] = 2
    with pytest.raises(DataError, match="class 'c' has no row in the training part"):
        split_rows("s", TASK, matrix, target, seed=0, test_share=0.2)


@pytest.mark.parametrize("task", [TASK, Regression()])
def test_folds_cover_every_row_once_per_repeat_and_differ_between_repeats(task: Any) -> None:
    matrix, target = make_rows(203)
    folds = list(fold_rows(task, matrix, target.astype(float), folds=5, repeats=2, seed=0))
    assert len(folds) == 10
    for repeat in (folds[:5], folds[5:]):
        assert sorted(np.concatenate([fold.test for fold in repeat])) == list(range(203))
        for fold in repeat:
            assert not set(fold.train) & set(fold.test)
            assert len(fold.train) + len(fold.test) == 203
            assert len(fold.test) in (40, 41)
    assert not np.array_equal(folds[0].test, folds[5].test)


def test_folds_are_stratified_to_within_one_row_per_class() -> None:
    matrix, target = make_rows(203)
    for fold in fold_rows(TASK, matrix, target, folds=5, repeats=3, seed=0):
        for label in range(3):
            assert abs((target[fold.test] == label).sum() - (target == label).sum() / 5) < 1


def test_repeats_of_a_row_stay_in_one_fold() -> None:
    matrix, target = make_rows(100)
    matrix, target = np.concatenate([matrix, matrix[:30]]), np.concatenate([target, target[:30]])
    for fold in fold_rows(TASK, matrix, target, folds=5, repeats=2, seed=0):
        test = set(fold.test)
        assert all((row in test) == (row + 100 in test) for row in range(30))


def test_folds_depend_on_the_rows_and_not_on_their_order() -> None:
    matrix, target = make_rows(120)
    order = np.random.default_rng(4).permutation(120)
    plain = list(fold_rows(TASK, matrix, target, folds=4, repeats=1, seed=0))
    mixed = list(fold_rows(TASK, matrix[order], target[order], folds=4, repeats=1, seed=0))
    for one, other in zip(plain, mixed, strict=True):
        assert set(one.test) == set(order[other.test])

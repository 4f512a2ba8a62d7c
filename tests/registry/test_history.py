"""The history of champions: what a rollback returns to."""

from __future__ import annotations

import json

import pytest

from rookery.registry.history import LONGEST, add_champion, agree_history, step_back


def test_promotions_grow_the_history_in_front() -> None:
    assert add_champion(add_champion([], "1"), "2") == ["2", "1"]


def test_promoting_the_champion_again_changes_nothing() -> None:
    assert add_champion(["2", "1"], "2") == ["2", "1"]


def test_the_history_is_capped() -> None:
    history: list[str] = []
    for version in range(1, 200):
        history = add_champion(history, str(version))
    assert len(history) == LONGEST
    assert history[0] == "199"


def test_each_rollback_goes_one_further_back_until_there_is_nothing() -> None:
    everything = {"1", "2", "3"}
    once = step_back(["3", "2", "1"], everything)
    assert once == ["2", "1"]
    assert step_back(once, everything) == ["1"]
    assert step_back(["1"], everything) == []


def test_a_rollback_after_a_new_promotion_returns_to_the_one_that_was_serving() -> None:
    after_rollback = step_back(["3", "2", "1"], {"1", "2", "3", "4"})
    assert step_back(add_champion(after_rollback, "4"), {"1", "2", "3", "4"}) == ["2", "1"]


def test_deleted_versions_are_passed_over() -> None:
    assert step_back(["3", "2", "1"], {"3", "1"}) == ["1"]
    assert step_back(["3", "2", "1"], {"3"}) == []


@pytest.mark.parametrize("stored", [None, "", "{", "{}", "3", '[1, null, "x"]'])
def test_without_a_readable_history_it_begins_with_the_champion(stored: str | None) -> None:
    assert agree_history(stored, "3") == ["3"]


def test_an_alias_ahead_of_the_history_is_its_newest_entry() -> None:
    """This makes a promotion that crashed after moving the alias a whole one."""
    assert agree_history(json.dumps(["2", "1"]), "3") == ["3", "2", "1"]
    assert agree_history(json.dumps(["3", "2"]), "3") == ["3", "2"]


def test_a_rollback_that_crashed_before_moving_the_alias_has_not_happened() -> None:
    stored = json.dumps(step_back(["3", "2", "1"], {"1", "2", "3"}))
    assert step_back(agree_history(stored, "3"), {"1", "2", "3"}) == ["2", "1"]


def test_without_a_champion_there_is_no_history() -> None:
    assert agree_history(json.dumps(["2", "1"]), None) == []

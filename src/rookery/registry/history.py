"""The history of champions: which version a rollback returns to. Lists are newest first, the present one in front.

A rollback takes the present champion off the list, so that a second rollback goes one further back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from rookery.registry.base import is_version

LONGEST = 50
"""Champions that are remembered: far more than anyone rolls back, far less than a registry's tag may hold."""


def agree_history(stored: str | None, champion: str | None) -> list[str]:
    """Return the history that holds, given the stored one (JSON text) and the alias, which may be ahead of it."""
    try:
        document = json.loads(stored) if stored else []
    except ValueError:
        document = []
    past = [v for v in document if isinstance(v, str) and is_version(v)] if isinstance(document, list) else []
    if champion is None:
        return []
    return past if past[:1] == [champion] else [champion, *past]


def add_champion(history: Sequence[str], version: str) -> list[str]:
    """Return the history after a promotion; promoting the present champion changes nothing."""
    grown = list(history) if list(history[:1]) == [version] else [version, *history]
    return grown[:LONGEST]


def step_back(history: Sequence[str], available: Collection[str]) -> list[str]:
    """Return the history after a rollback; empty when there is nothing to return to.

    Versions that have since been deleted are passed over, and so are repeats of the present champion.
    """
    for index in range(1, len(history)):
        if history[index] in available and history[index] != history[0]:
            return list(history[index:])
    return []

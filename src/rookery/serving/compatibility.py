"""Whether a package's model takes what the service's code sends it."""

from __future__ import annotations

from itertools import zip_longest

from rookery.fields.columns import Column
from rookery.package.manifest import Manifest
from rookery.service.contract import Contract
from rookery.service.task import Classification, Task


def find_mismatch(contract: Contract, manifest: Manifest) -> str:
    """Return how a package differs from what the code declares, in words; empty when rows mean the same to both.

    Compared is what decides how a row is encoded and an answer read: columns, their order, kinds and categories, and
    the labels. Bounds, units and texts may change without a new model.
    """
    if contract.name != manifest.service:
        return f"it is a package of the service {manifest.service!r}"
    for place, (mine, its) in enumerate(zip_longest(contract.schema.columns, manifest.columns)):
        difference = _compare_columns(mine, its)
        if difference:
            return f"column {place}: {difference}"
    return _compare_tasks(contract.task, manifest.task_object())


def _compare_columns(mine: Column | None, its: Column | None) -> str:
    if its is None:
        return f"the code declares {mine.name!r}, the model has no such column" if mine else ""
    if mine is None:
        return f"the model needs {its.name!r}, which the code no longer declares"
    if mine.name != its.name:
        return f"the code declares {mine.name!r} where the model has {its.name!r}"
    if mine.kind != its.kind:
        return f"{mine.name!r} is declared as {mine.kind}, the model was trained on {its.kind}"
    if mine.categories != its.categories:
        return f"{mine.name!r} has the categories {list(mine.categories)}, the model knows {list(its.categories)}"
    if mine.optional and not its.optional:
        return f"{mine.name!r} may be missing, which the model never saw"
    return ""


def _compare_tasks(mine: Task, its: Task) -> str:
    if mine.kind != its.kind:
        return f"the code declares a {mine.kind}, the model is a {its.kind}"
    if isinstance(mine, Classification) and isinstance(its, Classification) and mine.labels != its.labels:
        return f"the code declares the labels {list(mine.labels)}, the model answers {list(its.labels)}"
    return ""

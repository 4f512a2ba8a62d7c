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
    difference = _compare_pictures(contract, manifest)
    if difference:
        return difference
    return _compare_tasks(contract.task, manifest.task_object())


def _compare_pictures(contract: Contract, manifest: Manifest) -> str:
    """Return how the pictures differ; how large or of which format they may be can change without a new model."""
    mine, its = contract.schema.picture, manifest.input.picture
    if mine is None or its is None:
        return "" if (mine is None) == (its is None) else "only one of them takes a picture"
    fits = [(image.width, image.height, image.mode, image.fit, image.shorter_side) for image in (mine.image, its.image)]
    return "" if fits[0] == fits[1] else f"the code fits pictures to {fits[0]}, the model reads {fits[1]}"


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


def _compare_tasks(mine: Task | None, its: Task | None) -> str:
    kinds = ["function" if task is None else task.kind for task in (mine, its)]
    if kinds[0] != kinds[1]:
        return f"the code declares a {kinds[0]}, the model is a {kinds[1]}"
    if isinstance(mine, Classification) and isinstance(its, Classification) and mine.labels != its.labels:
        return f"the code declares the labels {list(mine.labels)}, the model answers {list(its.labels)}"
    return ""

"""Tasks: what a service's model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from rookery.errors import DefinitionError
from rookery.service.metrics import TaskKind


@dataclass(frozen=True, init=False)
class Classification:
    """One of several labels, with a probability for each.

    The graph's output is `probabilities`, float32 [n, labels]; the answered label is its argmax.
    """

    labels: tuple[str, ...]

    def __init__(self, *labels: str | int) -> None:
        strange = [label for label in labels if isinstance(label, bool) or not isinstance(cast(Any, label), (str, int))]
        if strange:
            raise DefinitionError(
                f"label {strange[0]!r:.50} is neither a text nor a whole number",
                cure="Name labels one by one: Classification('a', 'b'), or Classification(*labels)",
            )
        names = tuple(str(label) for label in labels)
        if not all(name.strip() for name in names):
            raise DefinitionError("a label is blank", cure="Give every label a name")
        if len(names) < 2:
            raise DefinitionError(
                f"a classification with {len(names)} label(s) decides nothing", cure="Name at least two labels"
            )
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise DefinitionError(f"label {doubles[0]!r} is named twice", cure="Name each label once")
        object.__setattr__(self, "labels", names)

    @property
    def kind(self) -> TaskKind:
        """The task's name in manifests."""
        return "classification"


@dataclass(frozen=True)
class Regression:
    """One number; the graph's output is `value`, float32 [n]."""

    unit: str | None = None

    @property
    def kind(self) -> TaskKind:
        """The task's name in manifests."""
        return "regression"


Task = Classification | Regression

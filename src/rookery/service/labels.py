"""Labels that ship with Rookery: the 1,000 classes of ImageNet."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def imagenet_names() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes by index, in lower case with underscores: `golden_retriever`.

    One name stands twice: a cardigan is a dog and a garment.
    """
    text = files("rookery.service").joinpath("imagenet_classes.txt").read_text("utf-8")
    return tuple(re.sub(r"[^a-z0-9]+", "_", line.lower()).strip("_") for line in text.splitlines())


@cache
def imagenet_labels() -> tuple[str, ...]:
    """Return labels for ImageNet's classes: their names, and the index behind a name that an earlier class has."""
    names = imagenet_names()
    first = {name: at for at, name in reversed(list(enumerate(names)))}
    return tuple(name if first[name] == at else f"{name}_{at}" for at, name in enumerate(names))

"""Keeps the training libraries to one thread: on small data, threads only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    with import_module("threadpoolctl").threadpool_limits(limits=1):
        yield

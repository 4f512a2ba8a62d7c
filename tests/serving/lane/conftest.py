"""A lane server that the tests of this folder share, where none of them changes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving.lane.server import LaneServer, running


@pytest.fixture(scope="module")
def lane_server() -> Iterator[LaneServer]:
    """One running server with the default deadlines."""
    with running() as server:
        yield server

"""Fixtures of the training room's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from rookery.registry.memory import MemoryRegistry


@pytest.fixture
def registry(tmp_path: Path) -> MemoryRegistry:
    """An empty registry."""
    return MemoryRegistry(tmp_path / "registry")

from __future__ import annotations

from pathlib import Path

import pytest

from tests.package.builders import build_package


@pytest.fixture
def package_folder(tmp_path: Path) -> Path:
    """A whole, good package on disk."""
    directory = tmp_path / "package"
    build_package(directory)
    return directory

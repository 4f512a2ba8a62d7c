"""What the project declares and what it locks go together: checked here, before a new machine finds out."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"core": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
REQUIREMENTS = {extra: [Requirement(line) for line in lines] for extra, lines in EXTRAS.items()}


def locked_versions() -> dict[str, Version]:
    """Return each locked distribution's version, read from constraints.txt."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pairs = (line.split("==") for line in lines)
    return {canonicalize_name(name): Version(version) for name, version in pairs}


@pytest.mark.parametrize("extra", REQUIREMENTS)
def test_the_lock_satisfies_every_requirement(extra: str) -> None:
    """Each library that an extra asks for is locked, at a version the extra accepts."""
    locked = locked_versions()
    wanted = [one for one in REQUIREMENTS[extra] if canonicalize_name(one.name) != PROJECT["name"]]
    unmet = [str(one) for one in wanted if not one.specifier.contains(locked.get(canonicalize_name(one.name), "0"))]
    assert unmet == []


def test_every_locked_version_is_exact_and_named_once() -> None:
    """The lock leaves nothing open: one line per distribution, and one version in each."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(locked_versions()) == len(lines) > 0

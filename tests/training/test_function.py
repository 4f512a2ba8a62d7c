"""Registering code: a version per code, made champion; a second start registers nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from rookery.errors import PackageError, VersionNotFound
from rookery.package.function import function_code
from rookery.registry.base import CHAMPION
from rookery.registry.memory import MemoryRegistry
from rookery.training.freshness import needs_training
from rookery.training.function import register_function
from tests.package.functions import BODY, write_function


def test_code_is_registered_once_and_other_code_as_the_next_version(registry: MemoryRegistry, tmp_path: Path) -> None:
    home = tmp_path / "home"
    service = write_function(tmp_path / "services")
    assert needs_training(service, registry, home=home) == "it has no champion yet"
    report = register_function(service, registry=registry, home=home)
    assert report.version.version == "1"
    assert report.to_json()["code_digest"] == function_code(service).digest
    assert needs_training(service, registry, home=home) is None
    changed = write_function(tmp_path / "services", f"{BODY} + 1")
    assert needs_training(changed, registry, home=home) == "its code is another one than that of version 1"
    assert register_function(changed, registry=registry, home=home).version.version == "2"
    assert registry.version("light", CHAMPION).version == "2"
    assert needs_training(changed, registry, home=home) is None
    assert needs_training(write_function(tmp_path / "services"), registry, home=home) is not None


def test_code_that_fails_is_not_registered(registry: MemoryRegistry, tmp_path: Path) -> None:
    broken = write_function(tmp_path / "services", "1 / 0")
    with pytest.raises(PackageError, match="ZeroDivisionError"):
        register_function(broken, registry=registry, home=tmp_path / "home")
    with pytest.raises(VersionNotFound):
        registry.version("light", CHAMPION)
    assert list((tmp_path / "home").iterdir()) == []

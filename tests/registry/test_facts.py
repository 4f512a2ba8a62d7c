"""What a registry's entry says about its package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rookery.errors import PackageError, RegistryError
from rookery.registry.facts import MOST_SCORES, prove_package
from tests.registry.packages import write_small_package


def test_equal_content_has_one_content_digest_and_a_manifest_of_its_own(tmp_path: Path) -> None:
    first, second, other = (
        prove_package(write_small_package(tmp_path / name, service="iris", shift=shift, candidate=name))
        for name, shift in (("a", 0.1), ("b", 0.1), ("c", 0.2))
    )
    assert first.content_digest == second.content_digest != other.content_digest
    assert len({first.manifest_sha256, second.manifest_sha256, other.manifest_sha256}) == 3


@pytest.mark.parametrize(
    ("metrics", "found"),
    [
        ({"scores": {"rmse": 0.4, "r2": 1}, "rows": 9}, {"rmse": 0.4, "r2": 1.0}),
        ({"scores": {"rmse": "low", "ok": True, "r2": 0.9}}, {"r2": 0.9}),
        ({"scores": [0.4]}, {}),
        ({"rows": 9}, {}),
    ],
)
def test_the_scores_are_the_numbers_under_scores(
    metrics: Mapping[str, Any], found: dict[str, float], tmp_path: Path
) -> None:
    assert prove_package(write_small_package(tmp_path / "p", service="iris", metrics=metrics)).metrics == found


def test_many_scores_are_capped(tmp_path: Path) -> None:
    metrics = {"scores": {f"score_{number}": number for number in range(200)}}
    package = write_small_package(tmp_path / "p", service="iris", metrics=metrics)
    assert len(prove_package(package).metrics) == MOST_SCORES


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError):
        prove_package(tmp_path / "nowhere")


def test_a_service_name_that_could_leave_its_folder_is_refused(tmp_path: Path) -> None:
    package = write_small_package(tmp_path / "p", service="../etc")
    with pytest.raises(RegistryError, match="no service's name"):
        prove_package(package)

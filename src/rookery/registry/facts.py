"""`PackageFacts`: what a registry's entry says about its package, so that lists need not open packages."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rookery.registry.base import check_service_name

MOST_SCORES = 64
"""Scores that a registry's entry shows; the package's own metrics.json has them all."""


@dataclass(frozen=True, kw_only=True)
class PackageFacts:
    """A verified package in a few words."""

    service: str
    content_digest: str
    manifest_sha256: str
    model_name: str
    candidate: str
    synthetic: bool
    metrics: Mapping[str, float]


def prove_package(directory: Path) -> PackageFacts:
    """Open a package with every check of the serving side, and return its facts.

    Raises:
        PackageError: it does not open.
    """
    # Imported here: whoever only reads the registry does not pay for the inference runtime.
    from rookery.package.manifest import read_manifest
    from rookery.package.opener import open_package, read_verified

    # A function is answered by its service's own code, which proves the golden cases where it is loaded.
    is_function = read_manifest(directory).kind == "function"
    proven = read_verified(directory) if is_function else open_package(directory)
    manifest = proven.manifest
    check_service_name(manifest.service)
    dataset = manifest.provenance.dataset
    return PackageFacts(
        service=manifest.service,
        content_digest=manifest.content_digest,
        manifest_sha256=proven.manifest_sha256,
        model_name=manifest.model_name,
        candidate=manifest.candidate,
        synthetic=dataset is not None and dataset.synthetic,
        metrics=_read_scores(directory / "metrics.json"),
    )


def _read_scores(path: Path) -> dict[str, float]:
    """Return the chosen candidate's scores: the numbers under `scores`."""
    document = json.loads(path.read_bytes())
    scores = document.get("scores") if isinstance(document, Mapping) else None
    if not isinstance(scores, Mapping):
        return {}
    return {str(name): float(value) for name, value in list(scores.items())[:MOST_SCORES] if _is_score(value)}


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

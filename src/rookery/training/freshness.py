"""Freshness: whether a service's champion is the one its definition asks for."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from rookery.errors import RegistryUnavailable, RookeryError, VersionNotFound
from rookery.package.files import read_package_file
from rookery.package.function import function_code
from rookery.package.manifest import read_manifest
from rookery.registry.base import CHAMPION, Registry
from rookery.service.definition import Service
from rookery.training.provenance import definition_digest

METRICS_BYTES = 16 << 20


def needs_training(service: Service, registry: Registry, *, home: Path) -> str | None:
    """Return why a service must be trained before it can serve, in words; None when its champion will do.

    A champion will do if the definition it was trained by is the present one; data is not loaded again, so new rows
    do not count. A function's champion will do if it is the code that is here. Other services without candidates
    never need training.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    if not service.candidates and service.function is None:
        return None
    try:
        version = registry.version(service.name, CHAMPION).version
    except VersionNotFound:
        return "it has no champion yet"
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="champion-", dir=home) as folder:
        try:
            directory = registry.download(service.name, version, Path(folder) / "package")
            manifest = read_manifest(directory)
            metrics = json.loads(read_package_file(directory, "metrics.json", limit=METRICS_BYTES))
        except RegistryUnavailable:
            raise
        except (RookeryError, ValueError) as error:
            return f"its champion, version {version}, cannot be read: {error}"
    if service.function is not None:
        is_same = manifest.code_digest == function_code(service).digest
        return None if is_same else f"its code is another one than that of version {version}"
    known = metrics.get("definition_digest") if isinstance(metrics, dict) else None
    if known is None:
        return None
    return None if known == definition_digest(service) else f"its definition has changed since version {version}"

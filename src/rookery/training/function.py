"""Registering code: what training is for services whose own function answers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rookery.export.function_package import package_function
from rookery.package.function import function_code
from rookery.registry.base import CHAMPION, ModelVersion, Registry
from rookery.registry.promotion import promote
from rookery.service.definition import Service
from rookery.training.provenance import find_git_commit


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReport:
    """What came of registering a service's code."""

    service: str
    version: ModelVersion
    code_digest: str
    content_digest: str
    libraries: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "service": self.service,
            "version": self.version.version,
            "code_digest": self.code_digest,
            "content_digest": self.content_digest,
            "libraries": self.libraries,
        }


def register_function(service: Service, *, registry: Registry, home: Path) -> FunctionReport:
    """Package the code that answers, register it as the next version, and make it champion.

    Raises:
        DefinitionError: the service has no function.
        PackageError: the function fails on a generated picture.
        RegistryError: the registry refuses or does not answer.
    """
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="training-", dir=home) as folder:
        directory = Path(folder) / "package"
        manifest = package_function(service, directory, git_commit=find_git_commit(Path.cwd()))
        version = registry.register(directory)
    promote(registry, service.name, version.version)
    return FunctionReport(
        service=service.name,
        version=registry.version(service.name, CHAMPION),
        code_digest=function_code(service).digest,
        content_digest=manifest.content_digest,
        libraries=dict(manifest.provenance.libraries),
    )

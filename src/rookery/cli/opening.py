"""Packages opened for a person who asks whether they are sound, functions by the code that lies beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rookery.package.manifest import Manifest


def prove_package(folder: Path, services_folder: Path) -> tuple[Manifest, str]:
    """Open a package with every check that a server makes; returns its manifest, and what was found in a few words.

    A function is answered by its service's own code: where that is not here, only the digests are verified, and the
    words say so.

    Raises:
        PackageError: the package is refused.
        DefinitionError: the service's code, which a function needs, is at fault.
    """
    from rookery.package.function import function_code
    from rookery.package.manifest import read_manifest
    from rookery.package.opener import open_package, read_verified
    from rookery.service.discovery import find_services, load_service

    manifest, code = read_manifest(folder), None
    if manifest.kind == "function":
        if manifest.service not in find_services(services_folder):
            return read_verified(folder).manifest, "digests verified; its service's code is not here"
        service = load_service(services_folder, manifest.service)
        code = None if service.function is None else function_code(service)
    opened = open_package(folder, code=code)
    return opened.manifest, f"{len(opened.golden)} golden cases"

"""A service's own code becomes a package: which code it is, and what it answers to generated pictures."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rookery.package.describe import describe_service, read_library_versions
from rookery.package.function import function_code, record_function
from rookery.package.golden_pictures import describe_golden
from rookery.package.manifest import Manifest, Provenance
from rookery.package.writer import write_package
from rookery.service.definition import Service

GOLDEN_CASES = 20


def package_function(service: Service, destination: Path, *, git_commit: str | None = None) -> Manifest:
    """Write the package of a service whose function answers, and return its manifest.

    `destination` is the folder to write; it must not exist. `git_commit` is what to deploy to have this code again.

    Raises:
        DefinitionError: the service has no function, or its source or libraries are not to be found.
        PackageError: the function fails on a generated picture, or the package cannot be written.
    """
    code = function_code(service)
    golden = record_function(code, [describe_golden(number) for number in range(GOLDEN_CASES)])
    versions = read_library_versions(service.libraries)
    return write_package(
        destination,
        manifest=describe_service(
            service,
            candidate="",
            tensors=None,
            provenance=Provenance(
                created_at=datetime.now(UTC).isoformat(timespec="seconds"), git_commit=git_commit, libraries=versions
            ),
            code_digest=code.digest,
        ),
        model=None,
        profile=None,
        golden=golden,
        metrics={"service": service.name, "libraries": {name: versions[name] for name in service.libraries}},
        card="\n".join(
            [
                f"# {service.title or service.name}",
                "",
                service.description,
                "",
                f"Computed by the service's own code (digest `{code.digest[:12]}`), not by a trained model.",
                f"Libraries: {', '.join(f'{name} {versions[name]}' for name in service.libraries) or 'none'}.",
                "",
            ]
        ),
    )

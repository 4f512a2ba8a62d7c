"""`rookery export`, `import`, `sync`: versions between registries, files and servers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rookery.cli.context import open_registry
from rookery.cli.models import ServiceArgument, VersionArgument
from rookery.cli.output import JsonOption, print_json
from rookery.errors import PackageError, VersionNotFound


def export(
    service: ServiceArgument,
    version: VersionArgument,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write; left out: SERVICE-VERSION.tar.gz here.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one version, verified, to a file that `rookery import` reads elsewhere."""
    from rookery.registry.archive import export_version

    _, registry = open_registry()
    found = registry.version(service, version)
    target = export_version(registry, service, found.version, out or Path(f"{service}-{found.version}.tar.gz"))
    if as_json:
        print_json({"file": str(target), **found.to_json()})
    else:
        print(f"{service} version {found.version} is in {target}")


def import_(
    archive: Annotated[Path, typer.Argument(help="A file that `rookery export` wrote.", metavar="FILE")],
    as_json: JsonOption = False,
) -> None:
    """Register the version in a file; it serves after `rookery promote`."""
    from rookery.registry.archive import import_version

    _, registry = open_registry()
    version = import_version(registry, archive)
    if as_json:
        print_json(version.to_json())
    else:
        print(f"{version.service}: version {version.version} is registered")
        print(f"Let it serve with `rookery promote {version.service} {version.version}`")


def sync(
    services: Annotated[
        list[str] | None, typer.Argument(help="Only these services.", metavar="[SERVICE]...", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring what the registry says about champions and traffic to the servers of this home folder."""
    from rookery.registry.sync import sync as synchronise

    settings, registry = open_registry()
    known = registry.services() if services else []
    for name in services or ():
        if name not in known:
            raise VersionNotFound(
                f"the registry has no service {name!r}", cure=f"It has {', '.join(known) or 'none yet'}"
            )
    report = synchronise(registry, settings.home, services or None)
    if as_json:
        print_json(report.to_json())
    else:
        for service in report.services:
            serves = f"version {service.champion}" if service.champion else "no version"
            print(f"{service.service}: {serves}{' (new)' if service.changed else ''}")
    for place, reason in report.failures.items():
        raise PackageError(f"{place} is refused, what was served before goes on: {reason}")

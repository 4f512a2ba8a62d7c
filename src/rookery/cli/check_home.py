"""What `rookery doctor` says of the home folder, the registry and the services."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rookery.cli.findings import Finding, wrong
from rookery.errors import RookeryError
from rookery.fields.pictures.libraries import FORM_READERS, INSTALL_IMAGES, missing_libraries
from rookery.settings import Settings


def check_home(settings: Settings) -> Iterator[Finding]:
    """Look at the home folder: that it can be written, its traffic files, and every package they name."""
    home = settings.home
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            yield Finding("home", "folder", "ok", str(home) if home.exists() else f"{home} will be made when needed")
    except OSError as error:
        cure = "Give this user the right to write there, or set ROOKERY_HOME to another folder"
        yield Finding("home", "folder", "wrong", f"{home} cannot be written: {error.strerror}", cure)
    for path in sorted((home / "traffic").glob("[a-z]*.json")):
        yield from _check_traffic(home, path, settings.services_folder)


def _check_traffic(home: Path, path: Path, services_folder: Path) -> Iterator[Finding]:
    from rookery.cli.opening import prove_package
    from rookery.registry.traffic import read_traffic_file

    try:
        content = read_traffic_file(path)
    except RookeryError as error:
        yield wrong("home", f"traffic of {path.stem}", error)
        return
    if content is None:
        return
    champion, failures = content.traffic.champion, dict(content.failures)
    if champion is None:
        failures.pop("champion", None)
        cure = f"Run `rookery train {path.stem}`, or `rookery promote {path.stem} VERSION`"
        yield Finding("home", f"traffic of {path.stem}", "warning", "no version serves", cure)
    else:
        yield Finding("home", f"traffic of {path.stem}", "ok", f"version {champion} serves")
    for version, reason in failures.items():
        cure = f"Promote another version: `rookery promote {path.stem} VERSION`"
        yield Finding("home", f"{path.stem} version {version}", "wrong", f"is refused: {reason}", cure)
    for version, ref in content.packages.items():
        name = f"{path.stem} version {version}"
        try:
            _, found = prove_package(home / ref.path, services_folder)
            yield Finding("home", name, "ok", f"its package opens: {found}")
        except RookeryError as error:
            yield wrong("home", name, error)


def check_registry(settings: Settings) -> Iterator[Finding]:
    """Ask the registry for its services."""
    from rookery.supervisor.registry_sync import may_synchronise

    if not may_synchronise(settings):
        yield Finding("registry", "registry", "ok", f"none yet; training makes one in {settings.home}")
        return
    try:
        from rookery.registry.connect import connect

        registry = connect(settings)
        services = registry.services()
        yield Finding("registry", "registry", "ok", f"{registry.location} holds {', '.join(services) or 'nothing yet'}")
    except RookeryError as error:
        yield wrong("registry", "registry", error)


def check_services(settings: Settings) -> Iterator[Finding]:
    """Load every service of the services folder, and its data."""
    from rookery.service.discovery import find_services, load_service

    names = list(find_services(settings.services_folder))
    if not names:
        detail, cure = f"none in {settings.services_folder}", "Make one with `rookery new NAME`"
        yield Finding("services", "services", "warning", detail, cure)
    for name in names:
        try:
            service = load_service(settings.services_folder, name)
        except RookeryError as error:
            yield wrong("services", name, error)
            continue
        missing = "" if service.schema.picture is None else missing_libraries(FORM_READERS)
        if missing:
            yield Finding("services", name, "warning", f"takes pictures, and {missing} here", INSTALL_IMAGES)
            continue
        if service.data is None:
            yield Finding("services", name, "ok", "loads; it has no training data")
            continue
        try:
            dataset = service.data()
        except Exception as error:
            found = wrong("services", name, error)
            yield Finding("services", name, "wrong", f"its data cannot be loaded: {found.detail}", found.cure)
            continue
        if dataset.synthetic:
            cure = "Make the real data reachable, then train again"
            yield Finding("services", name, "warning", f"{len(dataset.target):,} rows, all synthetic", cure)
        else:
            yield Finding("services", name, "ok", f"loads; {len(dataset.target):,} rows of data")

"""`rookery serve`: the server, with as little as possible done before its workers start."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from rookery.cli.output import print_note
from rookery.errors import PackageError, RegistryError, ServeError
from rookery.settings import Settings, load_settings
from rookery.supervisor.registry_sync import may_synchronise


def serve(
    context: typer.Context,
    services: Annotated[
        list[str] | None,
        typer.Argument(help="What to serve; left out: every service that has a version.", metavar="[SERVICE]..."),
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Annotated[str | None, typer.Option("--port", help="TCP port; 0 takes a free one.")] = None,
    workers: Annotated[str | None, typer.Option("--workers", help="Worker processes sharing the port.")] = None,
    package: Annotated[
        Path | None, typer.Option("--package", help="Serve this package folder alone, without services or registry.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen on an address that others reach, without keys.")
    ] = False,
) -> None:
    """Serve predictions until Ctrl-C or SIGTERM; SIGHUP replaces the workers one by one."""
    settings = load_settings(host=host, port=port, workers=workers, package=package, insecure=insecure or None)
    if services and package is not None:
        raise ServeError("services and --package were both named", cure="Name one or the other")
    if services:
        # Services named on the command line win over MODEL_PATH in the environment.
        settings = replace(settings, package=None)
    chosen, optional = ((), ()) if settings.package is not None else _choose(settings, services or [])
    if settings.package is not None and not (settings.package / "manifest.json").is_file():
        raise PackageError(f"{settings.package} is no package", cure="Name a folder that holds a manifest.json")
    from rookery.supervisor.supervisor import serve as serve_until_signal

    # `main` may have launched the first worker already.
    serve_until_signal(settings, chosen, optional=optional, announce=print_note, launched=context.obj)


def _choose(settings: Settings, names: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the services to serve, and which of them may lack a version: without names, those that have none yet.

    The registry is asked first only where this home folder knows too little.

    Raises:
        ServeError: one that is named does not exist, or there is nothing to serve.
    """
    served, defined = _with_version(settings), _defined(settings)
    if names:
        missing = [name for name in dict.fromkeys(names) if name not in served]
        if missing and may_synchronise(settings):
            # A name that is defined nowhere may be in the registry, or misspelt: only the registry can tell.
            _synchronise(settings, missing if set(missing) <= set(defined) else None)
            served = _with_version(settings)
        known = sorted({*defined, *served})
        for name in names:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                cure = f"Did you mean {close[0]}?" if close else f"Make it with `rookery new {name}`"
                raise ServeError(f"there is no service {name!r} in {settings.services_folder}", cure=cure)
        return tuple(dict.fromkeys(names)), ()
    if not served and may_synchronise(settings):
        _synchronise(settings, None)
        served = _with_version(settings)
    if not served:
        cure = "Train one: `rookery train`" if defined else "Make one with `rookery new NAME`, then train it"
        raise ServeError(f"no service has a version yet in {settings.home}", cure=cure)
    waiting = tuple(name for name in defined if name not in served)
    return tuple(sorted({*served, *waiting})), waiting


def _defined(settings: Settings) -> list[str]:
    """Return the services that have a folder, without importing what it takes to load them."""
    return sorted(path.parent.name for path in settings.services_folder.glob("*/service.py"))


def _with_version(settings: Settings) -> list[str]:
    """Return the services whose traffic file names a champion."""
    from rookery.registry.traffic import read_traffic_file

    found = []
    for path in sorted((settings.home / "traffic").glob("[a-z]*.json")):
        try:
            content = read_traffic_file(path)
        except RegistryError:
            continue  # The next synchronisation replaces it.
        if content is not None and content.traffic.champion is not None:
            found.append(path.stem)
    return found


def _synchronise(settings: Settings, services: list[str] | None) -> None:
    """Ask the registry in a child process: neither the supervisor nor its workers load MLflow."""
    from rookery.registry.sync import sync_in_child

    print_note("Asking the registry which versions to serve …")
    report = sync_in_child(settings.home, services, tracking_uri=settings.tracking_uri)
    for place, reason in report.failures.items():
        print_note(f"Warning: {place} is refused: {reason}")

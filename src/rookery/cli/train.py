"""`rookery train`: services trained, proven, registered and brought to the servers."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rookery.cli.context import bring_to_servers, choose_services, open_registry
from rookery.cli.output import JsonOption, console_on_stderr, console_on_stdout, print_json, print_note
from rookery.errors import PackageError, RookeryError

if TYPE_CHECKING:
    from rookery.registry.base import Registry
    from rookery.service.definition import Service
    from rookery.settings import Settings
    from rookery.training.report import Progress


def train(
    services: Annotated[
        list[str] | None,
        typer.Argument(help="What to train; left out: every service.", metavar="[SERVICE]...", show_default=False),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every service of the services folder; the default.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Train even where the champion is what the definition asks for.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train services, compare their candidates, prove and register the best; a service that is current is skipped."""
    if everything and services:
        raise typer.BadParameter("name services, or say --all")
    settings, registry = open_registry()
    results = []
    failed: RookeryError | None = None
    for name in choose_services(settings, services or []):
        try:
            results.append(_train_one(settings, registry, name, force=force, quiet=as_json))
        except RookeryError as error:
            if services and len(services) == 1:
                raise
            # The others are trained all the same; this one decides the exit code.
            print_note(f"Error: {error}")
            results.append({"service": name, "error": str(error)})
            failed = failed or error
    if as_json:
        print_json(results)
    if failed is not None:
        raise failed


def _train_one(settings: Settings, registry: Registry, name: str, *, force: bool, quiet: bool) -> dict[str, Any]:
    """Train one service unless that is needless, and return what `--json` says of it."""
    from rookery.service.discovery import load_service
    from rookery.training.freshness import needs_training
    from rookery.training.mlflow_tracker import connect_tracker
    from rookery.training.report import make_table, no_progress, rich_progress
    from rookery.training.run import train as train_service

    service = load_service(settings.services_folder, name)
    if service.pretrained:
        print_note(f"{name} is not trained: `rookery pull {name}` brings its weights")
        return {"service": name, "skipped": True}
    reason = needs_training(service, registry, home=settings.home)
    if reason is None and not force:
        print_note(f"{name} is current; --force trains it all the same")
        _sync(settings, registry, name)
        return {"service": name, "skipped": True}
    if service.function is not None:
        return _register_code(settings, registry, service, quiet=quiet)
    print_note(f"Training {name}: {reason or 'forced'}")
    tracker = connect_tracker(settings)
    show: AbstractContextManager[Progress] = (
        nullcontext(no_progress) if quiet or not sys.stderr.isatty() else rich_progress(name, console_on_stderr())
    )
    with show as progress:
        report = train_service(service, registry=registry, tracker=tracker, home=settings.home, progress=progress)
    _sync(settings, registry, name)
    if not quiet:
        console_on_stdout().print(make_table(report))
    return report.to_json()


def _register_code(settings: Settings, registry: Registry, service: Service, *, quiet: bool) -> dict[str, Any]:
    """Register the code of a service whose function answers, in place of training."""
    from rookery.training.function import register_function

    report = register_function(service, registry=registry, home=settings.home)
    _sync(settings, registry, service.name)
    if not quiet:
        code = report.code_digest[:12]
        print(f"{service.name}: this code ({code}) is version {report.version.version}, and champion")
    return report.to_json()


def _sync(settings: Settings, registry: Registry, name: str) -> None:
    """Let running servers follow."""
    report = bring_to_servers(settings, registry, name)
    for place, reason in report.failures.items():
        raise PackageError(f"{place} is refused by the servers, which go on as before: {reason}")

"""`rookery pull`: pretrained weights fetched, proven, registered and brought to the servers."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rookery.cli.context import bring_to_servers, choose_services, open_registry
from rookery.cli.output import JsonOption, console_on_stderr, print_json, print_note
from rookery.errors import DefinitionError, PackageError

if TYPE_CHECKING:
    from rookery.registry.base import ModelVersion, Registry
    from rookery.service.definition import Service
    from rookery.service.pretrained import Pretrained
    from rookery.settings import Settings

Show = Callable[[int, int | None], None]


def pull(
    service: Annotated[str, typer.Argument(help="A service that declares pretrained weights.", metavar="SERVICE")],
    arch: Annotated[
        str | None, typer.Option("--arch", help="Which of its architectures; left out: the first one.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="An ONNX file that is here already, instead of the download.")
    ] = None,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Make the new version champion at once.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Fetch the weights of a pretrained model, prove them, register them as a version and serve it."""
    settings, registry = open_registry()
    (name,) = choose_services(settings, [service])
    from rookery.service.discovery import load_service

    definition = load_service(settings.services_folder, name)
    chosen = _choose(definition, arch)
    declared = definition.pretrained[chosen]
    path = _fetch(settings, declared, quiet=as_json) if weights is None else _check_given(weights, declared)
    version, content = _register(settings, registry, definition, chosen, path, promote_it=promote)
    # A version that is nobody's champion changes nothing for servers.
    failures = bring_to_servers(settings, registry, name).failures if promote else {}
    for place, reason in failures.items():
        raise PackageError(f"{place} is refused by the servers, which go on as before: {reason}")
    if as_json:
        print_json({"service": name, "architecture": chosen, "version": version.version, "content_digest": content})
        return
    role = "and champion" if promote else f"not promoted: `rookery promote {name} {version.version}`"
    print(f"{name}: {chosen} is version {version.version}, {role}")


def _choose(service: Service, arch: str | None) -> str:
    known = list(service.pretrained)
    if not known:
        raise DefinitionError(
            f"{service.name} declares no pretrained weights", cure=f"Train it: rookery train {service.name}"
        )
    if arch is not None and arch not in known:
        raise DefinitionError(f"{service.name} has no architecture {arch!r}", cure=f"Choose from {', '.join(known)}")
    return arch or known[0]


def _fetch(settings: Settings, declared: Pretrained, *, quiet: bool) -> Path:
    """Return the declared file, downloaded below the home folder unless it is there already."""
    from rookery.export.download import fetch

    own_folder, _, file_name = declared.url.rpartition("/")
    destination = settings.home / "weights" / file_name
    # An operator names mirrors because the file's own address is far away, or cannot be reached.
    folders: list[str] = [*settings.mirrors, own_folder, *declared.mirrors]
    first, *others = folders
    with _progress(file_name, quiet=quiet) as show:
        fetch(
            f"{first.rstrip('/')}/{file_name}",
            destination,
            sha256=declared.sha256,
            size=declared.size_bytes,
            mirrors=others,
            progress=show,
        )
    return destination


@contextmanager
def _progress(file_name: str, *, quiet: bool) -> Iterator[Show | None]:
    """Show a bar on stderr; a process without a terminal stays silent."""
    console = console_on_stderr()
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(file_name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _check_given(path: Path, declared: Pretrained) -> Path:
    """Return a file that the user gave; one with another digest than declared is used, and said to be."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror or error}") from error
    if digest != declared.sha256:
        print_note(f"Note: {path} is not the declared file (its SHA-256 is {digest[:12]}…); you answer for it")
    return path


def _register(
    settings: Settings, registry: Registry, service: Service, architecture: str, path: Path, *, promote_it: bool
) -> tuple[ModelVersion, str]:
    from rookery.export.pretrained import package_pretrained
    from rookery.registry.promotion import promote

    settings.home.mkdir(parents=True, exist_ok=True)
    print_note(f"Packaging {architecture}: adapting, proving and recording golden cases")
    with tempfile.TemporaryDirectory(prefix="pull-", dir=settings.home) as folder:
        directory = Path(folder) / "package"
        manifest: Any = package_pretrained(service, architecture, path, directory)
        version = registry.register(directory)
    if promote_it:
        version = promote(registry, service.name, version.version)
    return version, manifest.content_digest

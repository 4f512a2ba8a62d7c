"""`rookery models`, `promote`, `rollback`, `verify`: the registry's versions and who of them serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from rookery.cli.context import bring_to_servers, open_registry
from rookery.cli.output import JsonOption, print_json, print_note, print_table
from rookery.errors import PackageError, RookeryError
from rookery.settings import load_settings

if TYPE_CHECKING:
    from rookery.registry.base import ModelVersion, Registry
    from rookery.settings import Settings

ServiceArgument = Annotated[str, typer.Argument(help="The service's name.", metavar="SERVICE")]
VersionArgument = Annotated[str, typer.Argument(help="A version's number, or an alias.", metavar="VERSION")]


class _ListByDefault(TyperGroup):
    """`models` and `models SERVICE` are short for `models list …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


group = typer.Typer(
    cls=_ListByDefault,
    help="Show registered versions: `models [SERVICE]` lists them, `models show SERVICE VERSION` tells all of one.",
    rich_markup_mode=None,
)


@group.command("list")
def list_models(
    service: Annotated[str | None, typer.Argument(help="Only this service.", metavar="[SERVICE]")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the registered versions, newest first."""
    _, registry = open_registry()
    services = [service] if service else registry.services()
    versions = [version for name in services for version in registry.versions(name)]
    if as_json:
        print_json([version.to_json() for version in versions])
        return
    if not versions:
        raise PackageError(
            f"nothing is registered{f' for {service}' if service else ''}", cure="Train first: `rookery train`"
        )
    print_table(
        f"Model versions in {registry.location}",
        ("service", "version", "aliases", "model", "scores", "registered"),
        [_describe(version) for version in versions],
    )


def _describe(version: ModelVersion) -> tuple[str, ...]:
    scores = ", ".join(f"{name} {value:.4g}" for name, value in list(version.metrics.items())[:3])
    data = " (synthetic data)" if version.synthetic else ""
    registered = version.created_at.strftime("%Y-%m-%d %H:%M")
    return version.service, version.version, ", ".join(version.aliases), version.model_name + data, scores, registered


@group.command("show")
def show_model(service: ServiceArgument, version: VersionArgument, as_json: JsonOption = False) -> None:
    """Show all that is known of one version."""
    import tempfile

    from rookery.package.manifest import read_manifest

    _, registry = open_registry()
    found = registry.version(service, version)
    with tempfile.TemporaryDirectory(prefix="rookery-show-") as temporary:
        folder = registry.download(service, found.version, Path(temporary) / "package")
        manifest = read_manifest(folder)
        card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    if as_json:
        print_json({**found.to_json(), "manifest": manifest.model_dump(mode="json")})
        return
    print(card)
    aliases = ", ".join(found.aliases) or "none"
    print(f"Version {found.version} of {service}; aliases: {aliases}; content {found.content_digest[:12]}")


def promote(service: ServiceArgument, version: VersionArgument, as_json: JsonOption = False) -> None:
    """Make a version the champion, with all traffic; running servers follow within a second or two."""
    from rookery.registry.promotion import promote as promote_version

    settings, registry = open_registry()
    _tell_change(settings, registry, promote_version(registry, service, version), as_json)


def rollback(service: ServiceArgument, as_json: JsonOption = False) -> None:
    """Return to the champion before the present one."""
    from rookery.registry.promotion import rollback as return_to_former

    settings, registry = open_registry()
    _tell_change(settings, registry, return_to_former(registry, service), as_json)


def _tell_change(settings: Settings, registry: Registry, version: ModelVersion, as_json: bool) -> None:
    report = bring_to_servers(settings, registry, version.service)
    if as_json:
        print_json({**version.to_json(), "sync": report.to_json()})
    else:
        print(f"{version.service}: version {version.version} ({version.model_name}) is champion")
    for place, reason in report.failures.items():
        raise PackageError(f"{place} is refused by the servers, which go on as before: {reason}")


def verify(
    service: Annotated[str | None, typer.Argument(help="The service's name.", metavar="[SERVICE]")] = None,
    version: Annotated[
        str | None, typer.Argument(help="A version or alias; left out: every version.", metavar="[VERSION]")
    ] = None,
    package: Annotated[Path | None, typer.Option("--package", help="Verify this package folder instead.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Open packages as a server does: digests, operators, shapes, golden cases; say what is wrong."""
    if (service is None) == (package is None):
        raise typer.BadParameter("name a service, or a folder with --package")
    results = _verify_folder(package) if package is not None else _verify_versions(str(service), version)
    if as_json:
        print_json(results)
    else:
        for result in results:
            print(f"{result['package']}: {result['problem'] or 'opens; ' + result['facts']}")
    broken = [result for result in results if result["problem"]]
    if broken:
        raise PackageError(f"{len(broken)} of {len(results)} packages do not open: {broken[0]['problem']}")


def _verify_folder(folder: Path) -> list[dict[str, str]]:
    return [_prove(str(folder), folder)]


def _verify_versions(service: str, version: str | None) -> list[dict[str, str]]:
    import tempfile

    _, registry = open_registry()
    versions = [registry.version(service, version)] if version else registry.versions(service)
    if not versions:
        raise PackageError(f"nothing is registered for {service}", cure=f"Run `rookery train {service}`")
    results = []
    for found in versions:
        with tempfile.TemporaryDirectory(prefix="rookery-verify-") as temporary:
            name = f"{service} version {found.version}"
            try:
                folder = registry.download(service, found.version, Path(temporary) / "package")
            except PackageError as error:
                results.append({"package": name, "problem": str(error), "facts": ""})
                continue
            results.append(_prove(name, folder))
            print_note(f"verified {name}")
    return results


def _prove(name: str, folder: Path) -> dict[str, str]:
    from rookery.cli.opening import prove_package

    try:
        manifest, found = prove_package(folder, load_settings().services_folder)
    except RookeryError as error:
        return {"package": name, "problem": str(error), "facts": ""}
    facts = f"{manifest.service}, {manifest.model_name}, {found}, content {manifest.content_digest[:12]}"
    return {"package": name, "problem": "", "facts": facts}

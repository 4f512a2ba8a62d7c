"""Loading versions: packages opened, verified and warmed up beside those that go on answering.

`load_traffic` and `load_package` only read files and build objects, in whatever thread; `apply` swaps what they
made into a mount, between two passes of the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rookery.errors import PackageError, RookeryError
from rookery.package.contract import contract_from_manifest
from rookery.package.manifest import Manifest
from rookery.package.opener import Opening, Package
from rookery.pipeline.endpoint import LoadedVersion
from rookery.registry.traffic import PackageRef, TrafficFile
from rookery.service.contract import Contract
from rookery.serving.compatibility import find_mismatch
from rookery.serving.mount import Mount
from rookery.settings import Settings
from rookery.telemetry.accumulator import SeriesHandle, WorkerMetrics
from rookery.telemetry.metrics import MODEL_LOADED

SINGLE_VERSION = "1"
"""What a package that is served alone calls its version: only a registry gives numbers."""

Series = Callable[[str], SeriesHandle]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What an attempt to load came to; without a champion the mount keeps what it has."""

    versions: Mapping[str, LoadedVersion] = field(default_factory=dict)
    champion: str | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """What could not be followed, in words for `/health`."""


def load_traffic(
    file: TrafficFile | None,
    contract: Contract,
    present: Mapping[str, LoadedVersion],
    *,
    home: Path,
    series: Mapping[str, SeriesHandle],
    opening: Opening,
) -> Loaded:
    """Load the versions that a traffic file lets answer; those of `present` that are the same are used again."""
    if file is None or file.traffic.champion is None:
        return Loaded(problems=(f"no version is registered yet: run `{contract.cure or 'rookery sync'}`",))
    versions: dict[str, LoadedVersion] = {}
    problems = [f"version {version} was refused: {reason}" for version, reason in sorted(file.failures.items())]
    for version in file.traffic.answering:
        ref = file.packages.get(version)
        if ref is None:
            problems.append(f"version {version} was refused: its package has not been fetched yet")
            continue
        known = present.get(version)
        if known is not None and known.package.manifest_sha256 == ref.manifest_sha256:
            versions[version] = known
            continue
        try:
            package = _open_stored(home, ref, contract, opening)
            versions[version] = LoadedVersion(package, version, series=series[version])
        except RookeryError as error:
            problems.append(f"version {version} was refused: {_phrase(error, home / ref.path)}")
    return Loaded(
        versions=versions,
        champion=file.traffic.champion if file.traffic.champion in versions else None,
        weights=file.traffic.weights,
        aliases=file.aliases,
        problems=tuple(problems),
    )


def _open_stored(home: Path, ref: PackageRef, contract: Contract, opening: Opening) -> Package:
    """Open a package of the store, if it is the registered one and fits the service's code."""
    directory = (home / ref.path).resolve()
    if not directory.is_relative_to((home / "packages").resolve()):
        raise PackageError("its package lies outside the package store")
    package = opening.open(directory)
    if package.manifest_sha256 != ref.manifest_sha256:
        raise PackageError("its manifest is not the one that was registered")
    mismatch = find_mismatch(contract, package.manifest)
    if mismatch:
        raise PackageError(
            f"the service's code and this model do not fit: {mismatch}",
            cure=f"Make a version anew (`{contract.cure or 'rookery train'}`), or deploy the code it was made with",
        )
    return package


def load_package(directory: Path, *, series: SeriesHandle, opening: Opening) -> Loaded:
    """Load a package that is served alone, as version 1."""
    try:
        package = opening.open(directory)
        version = LoadedVersion(package, SINGLE_VERSION, series=series)
    except RookeryError as error:
        return Loaded(problems=(f"the package was refused: {_phrase(error, directory)}",))
    return Loaded(versions={SINGLE_VERSION: version}, champion=SINGLE_VERSION, weights={SINGLE_VERSION: 100})


def _phrase(error: RookeryError, directory: Path) -> str:
    """Return an error as clients may read it: they see names of files, never where these lie."""
    text = str(error)
    for place in (directory, directory.resolve()):
        text = text.replace(str(place), "the package")
    return text


def apply(loaded: Loaded, mount: Mount, metrics: WorkerMetrics) -> None:
    """Let a mount answer by what was loaded; without a champion it keeps what it has and says why."""
    before = set(mount.endpoint.versions)
    if loaded.champion is not None:
        mount.install(loaded.versions, champion=loaded.champion, weights=loaded.weights, aliases=loaded.aliases)
        for version in before - set(loaded.versions):
            metrics.drop_gauge(MODEL_LOADED, mount.name, version)
        for version in loaded.versions:
            metrics.set_gauge(MODEL_LOADED, mount.name, version, value=1)
        metrics.drop_gauge(MODEL_LOADED, mount.name, "")
    elif mount.endpoint.champion is None:
        metrics.set_gauge(MODEL_LOADED, mount.name, "", value=0)
    mount.endpoint.reason = "; ".join(loaded.problems)


def with_deadline(contract: Contract, settings: Settings) -> Contract:
    """Return the contract with the operator's deadline, where one is set, instead of its own."""
    if settings.deadline is None:
        return contract
    return replace(contract, limits=replace(contract.limits, deadline_seconds=settings.deadline))


def generic_contract(manifest: Manifest, settings: Settings) -> Contract:
    """Return the contract of a package without its service's Python."""
    return with_deadline(contract_from_manifest(manifest), settings)

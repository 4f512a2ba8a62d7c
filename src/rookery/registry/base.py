"""`Registry`: what Rookery asks of a model registry, and `ModelVersion`, what it answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from rookery.errors import RegistryError, VersionNotFound
from rookery.registry.traffic import Traffic
from rookery.service.definition import NAME_PATTERN

CHAMPION = "champion"
CHALLENGER = "challenger"
SHADOW = "shadow"

VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,9}")
ALIAS_PATTERN = re.compile(r"(?!v[0-9]+$|latest$)[a-z][a-z0-9_-]{0,62}")
"""What an alias may be called; `v3` and `latest` mean something else to MLflow."""


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One numbered, complete and immutable entry of the registry."""

    service: str
    version: str
    content_digest: str
    """SHA-256 over model, profile and golden cases: equal for equal data, seed and libraries."""
    manifest_sha256: str
    """SHA-256 of the manifest, which names every other file's digest: equal for equal packages only."""
    model_name: str
    candidate: str
    created_at: datetime
    """When it was registered, in UTC."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    run_id: str | None = None
    synthetic: bool = False
    """Whether it was trained on a synthetic sample."""

    def to_json(self) -> dict[str, Any]:
        """Return the version as JSON values; `created_at` in ISO 8601."""
        return {
            "service": self.service,
            "version": self.version,
            "model_name": self.model_name,
            "candidate": self.candidate,
            "aliases": list(self.aliases),
            "metrics": dict(self.metrics),
            "synthetic": self.synthetic,
            "content_digest": self.content_digest,
            "manifest_sha256": self.manifest_sha256,
            "created_at": self.created_at.isoformat(),
            "run_id": self.run_id,
        }


class Registry(Protocol):
    """A model registry: services, their numbered versions, the aliases that point to them, and traffic.

    A version is there wholly or not at all: what a crash leaves half-done has no number that any method answers.
    Of a service that was never registered, collections are empty; a version or alias that is not there is
    `VersionNotFound`; a registry that does not answer sensibly is `RegistryUnavailable`.
    """

    @property
    def location(self) -> str:
        """Where the registry lies, for messages; credentials are left out."""
        ...

    def services(self) -> list[str]:
        """Return the names of all services that have been registered, sorted."""
        ...

    def versions(self, service: str) -> list[ModelVersion]:
        """Return a service's complete versions, newest first."""
        ...

    def version(self, service: str, version_or_alias: str) -> ModelVersion:
        """Return one version, by number or by alias."""
        ...

    def register(self, package: Path, *, run_id: str | None = None) -> ModelVersion:
        """Store a package as its service's next version; it opens, or is refused (`PackageError`).

        Registering equal content again makes a new number: whether that is wanted is for training to decide.
        """
        ...

    def download(self, service: str, version: str, destination: Path) -> Path:
        """Copy a version's package to `destination`, a folder that is not there yet, and return it.

        The copy is as the registry has it: opening it is what verifies it.
        """
        ...

    def aliases(self, service: str) -> dict[str, str]:
        """Return the service's aliases and the version each points to."""
        ...

    def set_alias(self, service: str, alias: str, version: str) -> None:
        """Point an alias to a version."""
        ...

    def delete_alias(self, service: str, alias: str) -> None:
        """Remove an alias; one that is not there stays so."""
        ...

    def traffic(self, service: str) -> Traffic:
        """Return who answers what share of the service's predictions."""
        ...

    def set_traffic(self, service: str, traffic: Traffic) -> None:
        """Store a traffic policy; its champion is the one that the alias names."""
        ...

    def champions(self, service: str) -> list[str]:
        """Return the present champion and those before it that a rollback returns to, newest first."""
        ...

    def set_champions(self, service: str, versions: Sequence[str]) -> None:
        """Store the history of champions, newest first."""
        ...


def check_service_name(service: str) -> None:
    """Refuse a text that is no service's name before it becomes part of a path, URL or query."""
    if not NAME_PATTERN.fullmatch(service):
        raise RegistryError(
            f"{service!r} is no service's name", cure="Use lower-case letters, digits, dashes and underscores"
        )


def check_alias(alias: str) -> None:
    """Refuse a text that cannot be an alias."""
    if not ALIAS_PATTERN.fullmatch(alias):
        raise RegistryError(f"{alias!r} is no alias", cure=f"Use {CHAMPION}, {CHALLENGER} or {SHADOW}")


def is_version(text: str) -> bool:
    """Return whether a text is a version's number rather than an alias."""
    return VERSION_PATTERN.fullmatch(text) is not None


def no_such_version(service: str, version: str, known: Sequence[str]) -> VersionNotFound:
    """Return the error for a version that is not there; it names the newest ones that are."""
    if not known:
        return VersionNotFound(
            f"{service} has no version {version}: nothing is registered", cure=f"Run `rookery train {service}`"
        )
    return VersionNotFound(f"{service} has no version {version}", cure=f"It has {', '.join(known[:10])}")


def no_such_alias(service: str, alias: str, known: Mapping[str, str]) -> VersionNotFound:
    """Return the error for an alias that points nowhere; it names those that do not."""
    have = ", ".join(f"{name} (version {version})" for name, version in sorted(known.items()))
    cure = f"It has {have}" if have else f"Name one with `rookery promote {service} VERSION`"
    return VersionNotFound(f"{service} has no alias {alias!r}", cure=cure)

"""`MemoryRegistry`: a registry for tests, in memory but for its packages; it behaves as the real ones do."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from rookery.errors import RegistryError, VersionNotFound
from rookery.registry.base import (
    CHAMPION,
    SHADOW,
    ModelVersion,
    check_alias,
    check_service_name,
    is_version,
    no_such_alias,
    no_such_version,
)
from rookery.registry.facts import prove_package
from rookery.registry.history import agree_history
from rookery.registry.traffic import Traffic, agree_traffic, check_policy


@dataclass
class _Entry:
    """One service's part of the registry."""

    versions: dict[str, ModelVersion] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    traffic: str | None = None
    history: str | None = None


class MemoryRegistry:
    """A `Registry` that lives as long as its process; packages are copied into `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.RLock()

    @property
    def location(self) -> str:
        """Where it lies."""
        return f"memory, {self._directory}"

    def services(self) -> list[str]:
        """Return the names of all registered services."""
        with self._lock:
            return sorted(self._entries)

    def versions(self, service: str) -> list[ModelVersion]:
        """Return a service's versions, newest first."""
        with self._lock:
            entry = self._entry(service)
            return [_with_aliases(entry, known) for known in reversed(entry.versions.values())]

    def version(self, service: str, version_or_alias: str) -> ModelVersion:
        """Return one version, by number or by alias."""
        with self._lock:
            entry = self._entry(service)
            number = version_or_alias
            if not is_version(version_or_alias):
                if version_or_alias not in entry.aliases:
                    raise no_such_alias(service, version_or_alias, entry.aliases)
                number = entry.aliases[version_or_alias]
            if number not in entry.versions:
                raise no_such_version(service, number, list(reversed(entry.versions)))
            return _with_aliases(entry, entry.versions[number])

    def register(self, package: Path, *, run_id: str | None = None) -> ModelVersion:
        """Copy a package as its service's next version."""
        facts = prove_package(package)
        folder = self._directory / facts.service
        folder.mkdir(parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
        shutil.copytree(package, copy / "package", symlinks=True)
        with self._lock:
            entry = self._entries.setdefault(facts.service, _Entry())
            number = str(max(map(int, entry.versions), default=0) + 1)
            (copy / "package").rename(folder / number)
            copy.rmdir()
            entry.versions[number] = ModelVersion(
                service=facts.service,
                version=number,
                content_digest=facts.content_digest,
                manifest_sha256=facts.manifest_sha256,
                model_name=facts.model_name,
                candidate=facts.candidate,
                created_at=datetime.now(UTC),
                metrics=facts.metrics,
                run_id=run_id,
                synthetic=facts.synthetic,
            )
            return entry.versions[number]

    def download(self, service: str, version: str, destination: Path) -> Path:
        """Copy a version's package to a folder that is not there yet."""
        found = self.version(service, version)
        if destination.exists():
            raise RegistryError(f"{destination} is there already", cure="Name a folder that is not")
        shutil.copytree(self._directory / service / found.version, destination, symlinks=True)
        return destination

    def aliases(self, service: str) -> dict[str, str]:
        """Return the service's aliases."""
        with self._lock:
            return dict(self._entry(service).aliases)

    def set_alias(self, service: str, alias: str, version: str) -> None:
        """Point an alias to a version."""
        check_alias(alias)
        with self._lock:
            self._entry(service).aliases[alias] = self.version(service, version).version

    def delete_alias(self, service: str, alias: str) -> None:
        """Remove an alias."""
        check_alias(alias)
        with self._lock:
            self._entry(service).aliases.pop(alias, None)

    def traffic(self, service: str) -> Traffic:
        """Return the service's traffic."""
        with self._lock:
            entry = self._entry(service)
            return agree_traffic(
                service,
                champion=entry.aliases.get(CHAMPION),
                shadow=entry.aliases.get(SHADOW),
                stored=entry.traffic,
            )

    def set_traffic(self, service: str, traffic: Traffic) -> None:
        """Store a traffic policy."""
        with self._lock:
            check_policy(traffic, service, self.aliases(service).get(CHAMPION))
            for version in (*traffic.weights, *traffic.shadow):
                self.version(service, version)
            self._entry(service).traffic = json.dumps(traffic.to_json())

    def champions(self, service: str) -> list[str]:
        """Return the history of champions, newest first."""
        with self._lock:
            entry = self._entry(service)
            return agree_history(entry.history, entry.aliases.get(CHAMPION))

    def set_champions(self, service: str, versions: Sequence[str]) -> None:
        """Store the history of champions."""
        with self._lock:
            if service not in self._entries:
                raise VersionNotFound(f"{service} is not registered", cure=f"Run `rookery train {service}`")
            self._entries[service].history = json.dumps(list(versions))

    def _entry(self, service: str) -> _Entry:
        check_service_name(service)
        return self._entries.get(service, _Entry())


def _with_aliases(entry: _Entry, version: ModelVersion) -> ModelVersion:
    names = sorted(alias for alias, target in entry.aliases.items() if target == version.version)
    return replace(version, aliases=tuple(names))

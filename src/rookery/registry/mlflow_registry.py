"""`MlflowRegistry`: MLflow's model registry, embedded or behind a tracking server's URL, as a `Registry`.

A service is a registered model, a package lies among the artifacts of an MLflow run, and a version is complete
from the moment its last tag says so: files first, then the version, then that tag. Tags of the registered model
hold the traffic policy and the history of champions.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rookery.errors import RegistryError, RegistryUnavailable, VersionNotFound
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
from rookery.registry.facts import PackageFacts, prove_package
from rookery.registry.history import agree_history
from rookery.registry.lock import file_lock
from rookery.registry.mlflow_client import SQLITE, find_experiment, open_client, show_location, translated
from rookery.registry.traffic import Traffic, agree_traffic, check_policy

SERVICE_TAG = "rookery.service"
TRAFFIC_TAG = "rookery.traffic"
HISTORY_TAG = "rookery.champions"
STATUS_TAG = "rookery.status"
READY = "ready"

ARTIFACT_FOLDER = "package"
PAGE = 200
MOST_PAGES = 500
MOST_FILES = 64
MOST_BYTES = 8 << 30
"""A package that claims more files or bytes than these is not downloaded."""


class MlflowRegistry:
    """A `Registry` in MLflow. Writes from several processes are safe; numbers are given by MLflow.

    `tracking_uri` is `sqlite:///PATH` (with `artifact_root`) or a server's URL. `client` stands in for the
    `MlflowClient` that is otherwise opened.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None = None, *, client: Any = None) -> None:
        self._uri = tracking_uri
        self._artifact_root = artifact_root
        self._client = open_client(tracking_uri) if client is None else client

    @property
    def location(self) -> str:
        """The database's path, or the server's URL without credentials."""
        return show_location(self._uri)

    def services(self) -> list[str]:
        """Return the names of all registered models that are services of ours."""
        with self._asking("list the services"):
            pages = self._pages(self._client.search_registered_models, {})
            return sorted(model.name for model in pages if model.tags.get(SERVICE_TAG) == model.name)

    def versions(self, service: str) -> list[ModelVersion]:
        """Return a service's complete versions, newest first."""
        with self._asking(f"list the versions of {service}"):
            aliases = self._aliases(service)
            if aliases is None:
                return []
            entries = self._pages(self._client.search_model_versions, {"filter_string": f"name='{service}'"})
            found = [_read_version(service, entry, aliases) for entry in entries]
        return sorted((v for v in found if v is not None), key=lambda v: int(v.version), reverse=True)

    def version(self, service: str, version_or_alias: str) -> ModelVersion:
        """Return one version, by number or by alias."""
        with self._asking(f"find version {version_or_alias} of {service}"):
            aliases = self._aliases(service) or {}
            number = version_or_alias
            if not is_version(version_or_alias):
                if version_or_alias not in aliases:
                    raise no_such_alias(service, version_or_alias, aliases)
                number = aliases[version_or_alias]
            try:
                with self._asking(f"find version {number} of {service}"):
                    found = _read_version(service, self._client.get_model_version(service, number), aliases)
            except VersionNotFound:
                found = None
        if found is None:
            raise no_such_version(service, number, [known.version for known in self.versions(service)])
        return found

    def register(self, package: Path, *, run_id: str | None = None) -> ModelVersion:
        """Store a package as its service's next version; without `run_id` in a run of its own."""
        facts = prove_package(package)
        with self._asking(f"register a version of {facts.service}"):
            self._ensure_service(facts.service)
            run = run_id or self._start_run(facts.service)
            try:
                number = self._store(package, facts, run)
            except BaseException:
                self._end_run(run, owned=run_id is None, status="FAILED")
                raise
            self._end_run(run, owned=run_id is None, status="FINISHED")
        return self.version(facts.service, number)

    def download(self, service: str, version: str, destination: Path) -> Path:
        """Copy a version's package to a folder that is not there yet."""
        found = self.version(service, version)
        if destination.exists():
            raise RegistryError(f"{destination} is there already", cure="Name a folder that is not")
        destination.parent.mkdir(parents=True, exist_ok=True)
        with (
            self._asking(f"download version {found.version} of {service}"),
            tempfile.TemporaryDirectory(prefix=".download-", dir=destination.parent) as temporary,
        ):
            source = self._client.get_model_version(service, found.version).source
            self._check_listing(source, f"version {found.version} of {service}")
            from mlflow.artifacts import download_artifacts

            folder = download_artifacts(artifact_uri=source, dst_path=temporary, tracking_uri=self._uri)
            shutil.move(folder, destination)
        return destination

    def aliases(self, service: str) -> dict[str, str]:
        """Return the service's aliases."""
        with self._asking(f"read the aliases of {service}"):
            return self._aliases(service) or {}

    def set_alias(self, service: str, alias: str, version: str) -> None:
        """Point an alias to a version."""
        check_alias(alias)
        number = self.version(service, version).version
        with self._asking(f"set alias {alias} of {service}"), self._lock():
            self._client.set_registered_model_alias(service, alias, number)

    def delete_alias(self, service: str, alias: str) -> None:
        """Remove an alias."""
        check_alias(alias)
        if alias in self.aliases(service):
            with self._asking(f"delete alias {alias} of {service}"), self._lock():
                self._client.delete_registered_model_alias(service, alias)

    def traffic(self, service: str) -> Traffic:
        """Return the service's traffic."""
        with self._asking(f"read the traffic of {service}"):
            model = self._model(service)
            aliases = {} if model is None else _read_aliases(model)
            stored = None if model is None else model.tags.get(TRAFFIC_TAG)
        return agree_traffic(service, champion=aliases.get(CHAMPION), shadow=aliases.get(SHADOW), stored=stored)

    def set_traffic(self, service: str, traffic: Traffic) -> None:
        """Store a traffic policy."""
        check_policy(traffic, service, self.aliases(service).get(CHAMPION))
        for version in (*traffic.weights, *traffic.shadow):
            self.version(service, version)
        self._set_tag(service, TRAFFIC_TAG, json.dumps(traffic.to_json()))

    def champions(self, service: str) -> list[str]:
        """Return the history of champions, newest first."""
        with self._asking(f"read the champions of {service}"):
            model = self._model(service)
            if model is None:
                return []
            return agree_history(model.tags.get(HISTORY_TAG), _read_aliases(model).get(CHAMPION))

    def set_champions(self, service: str, versions: Sequence[str]) -> None:
        """Store the history of champions."""
        self._set_tag(service, HISTORY_TAG, json.dumps(list(versions)))

    def _asking(self, what: str) -> AbstractContextManager[None]:
        return translated(what, self.location)

    def _lock(self) -> AbstractContextManager[None]:
        """Let one process at a time write to the embedded database; a server has locks of its own."""
        if not self._uri.startswith(SQLITE):
            return nullcontext()
        return file_lock(Path(self._uri.removeprefix(SQLITE)).with_name("registry.lock"))

    def _pages(self, search: Any, arguments: Mapping[str, Any]) -> Iterator[Any]:
        token, seen = None, {None}
        while len(seen) <= MOST_PAGES:
            page = search(**arguments, max_results=PAGE, page_token=token)
            yield from page
            token = page.token or None
            if token is None:
                return
            if token in seen:
                break
            seen.add(token)
        raise RegistryUnavailable(f"the registry at {self.location} answers page after page without an end")

    def _model(self, service: str) -> Any:
        """Return the service's registered model; None when there is none."""
        check_service_name(service)
        try:
            with self._asking(f"find {service}"):
                model = self._client.get_registered_model(service)
        except VersionNotFound:
            return None
        if model.name != service:
            raise RegistryUnavailable(
                f"the registry at {self.location} answers {model.name!r} when asked for {service!r}",
                cure="Check that ROOKERY_TRACKING_URI names an MLflow tracking server",
            )
        return model

    def _aliases(self, service: str) -> dict[str, str] | None:
        model = self._model(service)
        return None if model is None else _read_aliases(model)

    def _set_tag(self, service: str, key: str, value: str) -> None:
        with self._asking(f"store {key} of {service}"), self._lock():
            self._client.set_registered_model_tag(service, key, value)

    def _ensure_service(self, service: str) -> None:
        """Make the service's registered model; one of the same name that is not ours is left alone."""
        model = self._model(service)
        if model is None:
            try:
                with self._asking(f"register {service}"), self._lock():
                    self._client.create_registered_model(service, tags={SERVICE_TAG: service})
                return
            except RegistryUnavailable:
                raise
            except RegistryError:
                # Somebody else made it in between, or the registry refuses the name.
                model = self._model(service)
                if model is None:
                    raise
        if model.tags.get(SERVICE_TAG) != service:
            raise RegistryError(
                f"{self.location} has a registered model {service!r} that is none of Rookery's services",
                cure="Rename the service or that model",
            )

    def _start_run(self, service: str) -> str:
        experiment = find_experiment(self._client, service, self._artifact_root)
        return str(self._client.create_run(experiment, run_name="register").info.run_id)

    def _end_run(self, run: str, *, owned: bool, status: str) -> None:
        """End a run that was started here; the version does not depend on it, so a failure is passed over."""
        if owned:
            with suppress(Exception):
                self._client.set_terminated(run, status)

    def _store(self, package: Path, facts: PackageFacts, run: str) -> str:
        """Upload a package, make its version, and declare it complete; return its number."""
        # Never the same place twice: an upload can neither overwrite nor mix with what another version serves.
        folder = f"{ARTIFACT_FOLDER}/{facts.manifest_sha256[:12]}-{secrets.token_hex(4)}"
        source = f"{self._client.get_run(run).info.artifact_uri.rstrip('/')}/{folder}"
        self._client.log_artifacts(run, str(package), folder)
        with self._lock():
            entry = self._client.create_model_version(
                facts.service, source=source, run_id=run, tags=_write_tags(facts), await_creation_for=0
            )
        number = str(entry.version)
        with self._lock():
            self._client.set_model_version_tag(facts.service, number, STATUS_TAG, READY)
        return number

    def _check_listing(self, source: str, what: str) -> None:
        """Refuse to download what cannot be a package."""
        from mlflow.artifacts import list_artifacts

        files = list_artifacts(artifact_uri=source, tracking_uri=self._uri)
        if not files:
            raise RegistryError(
                f"the registry has no files of {what}",
                cure="Was the home folder moved, or the artifact store emptied? Train or import the version again",
            )
        size = sum(file.file_size or 0 for file in files)
        if any(file.is_dir for file in files) or len(files) > MOST_FILES or size > MOST_BYTES:
            raise RegistryError(f"{what} is no package: {len(files)} files or folders, {size} bytes")


def _read_aliases(model: Any) -> dict[str, str]:
    return {str(alias): str(version) for alias, version in model.aliases.items()}


def _write_tags(facts: PackageFacts) -> dict[str, str]:
    return {
        "rookery.content_digest": facts.content_digest,
        "rookery.manifest_sha256": facts.manifest_sha256,
        "rookery.model_name": facts.model_name,
        "rookery.candidate": facts.candidate,
        "rookery.synthetic": "true" if facts.synthetic else "false",
        "rookery.metrics": json.dumps(dict(facts.metrics)),
    }


def _read_version(service: str, entry: Any, aliases: Mapping[str, str]) -> ModelVersion | None:
    """Return an MLflow version as ours; None when it is not complete, or none of ours."""
    tags, number = entry.tags, str(entry.version)
    if entry.name != service or not is_version(number):
        raise RegistryUnavailable(
            f"the registry answers version {number!r} of {entry.name!r} when asked for {service!r}"
        )
    if tags.get(STATUS_TAG) != READY:
        return None
    return ModelVersion(
        service=service,
        version=number,
        content_digest=tags.get("rookery.content_digest", ""),
        manifest_sha256=tags.get("rookery.manifest_sha256", ""),
        model_name=tags.get("rookery.model_name", ""),
        candidate=tags.get("rookery.candidate", ""),
        created_at=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
        metrics=_read_metrics(tags.get("rookery.metrics", "{}")),
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == number)),
        run_id=entry.run_id or None,
        synthetic=tags.get("rookery.synthetic") == "true",
    )


def _read_metrics(text: str) -> dict[str, float]:
    try:
        return {str(name): float(value) for name, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return {}

"""`sync`: bring what the registry's aliases name into the package store and the traffic files.

Servers run it in a child process (`sync_in_child`, `python -m rookery.registry.sync`), so that neither workers nor
their supervisor ever import MLflow. Nothing that is being served is given up before its successor has been verified.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

from rookery.errors import PackageError, RegistryError, RegistryUnavailable, RookeryError
from rookery.registry.base import Registry, check_service_name
from rookery.registry.child import sync_in_child
from rookery.registry.plan import Wish, plan_traffic
from rookery.registry.report import ServiceSync, SyncReport
from rookery.registry.store import GRACE_SECONDS, PackageStore
from rookery.registry.traffic import (
    PackageRef,
    TrafficFile,
    package_ref,
    read_traffic_file,
    traffic_path,
    write_traffic_file,
)

__all__ = ["main", "sync", "sync_in_child"]


def sync(
    registry: Registry, home: Path, services: Sequence[str] | None = None, *, grace_seconds: float = GRACE_SECONDS
) -> SyncReport:
    """Synchronise services (None: all that the registry or the home folder knows) and prune unused packages.

    Each service's traffic file is replaced once its packages are verified. A version whose package is refused is
    named in the file's `failures`, and what was served before goes on. Concurrent calls wait for each other.

    Raises:
        RegistryUnavailable: the registry does not answer sensibly; services not reached yet are as they were.
        RegistryError: the home folder cannot be written.
    """
    home = home.absolute()
    store = PackageStore(home)
    try:
        with store.locked():
            names = _known_services(registry, home) if services is None else list(dict.fromkeys(services))
            synced = tuple(_sync_service(registry, store, home, name) for name in names)
            used = _used_packages(home)
            pruned = [] if used is None else store.prune(used, grace_seconds=grace_seconds)
    except OSError as error:
        raise RegistryError(
            f"{error.filename or home} cannot be used: {error.strerror or error}", cure="Make room or allow writing"
        ) from error
    return SyncReport(services=synced, pruned=tuple(pruned))


def main(arguments: Sequence[str] | None = None) -> int:
    """Synchronise as the arguments and settings say; print one line of JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rookery.registry.sync", description=sync.__doc__)
    parser.add_argument("--home", type=Path, default=None, help="folder of all state (default: as the settings say)")
    parser.add_argument("services", nargs="*", help="services to synchronise (default: all)")
    options = parser.parse_args(arguments)
    try:
        # Whatever a library prints must not mix with the answer.
        with redirect_stdout(sys.stderr):
            answer = {"report": _sync_as_set(options.home, options.services or None).to_json()}
    except RookeryError as error:
        answer = {"error": {"kind": type(error).__name__, "message": error.message, "cure": error.cure}}
    print(json.dumps(answer), flush=True)
    return 1 if "error" in answer else 0


def _sync_as_set(home: Path | None, services: Sequence[str] | None) -> SyncReport:
    from rookery.registry.connect import connect
    from rookery.settings import load_settings

    settings = load_settings(home=home)
    return sync(connect(settings), settings.home, services)


def _known_services(registry: Registry, home: Path) -> list[str]:
    served = [path.stem for path in (home / "traffic").glob("*.json") if not path.name.startswith(".")]
    return sorted({*registry.services(), *served})


def _sync_service(registry: Registry, store: PackageStore, home: Path, service: str) -> ServiceSync:
    check_service_name(service)
    path = traffic_path(home, service)
    previous = _read_previous(path)
    wish = Wish(
        service=service,
        traffic=registry.traffic(service),
        aliases=registry.aliases(service),
        champions=registry.champions(service),
    )
    packages: dict[str, PackageRef] = {}
    failures: dict[str, str] = {}
    downloaded: list[str] = []
    for version in wish.versions:
        try:
            packages[version], is_new = _bring(registry, store, service, version)
            downloaded += [version] if is_new else []
        except RegistryUnavailable:
            raise
        except (RegistryError, PackageError) as error:
            failures[version] = str(error).replace(f"{home}/", "")
    content = plan_traffic(
        wish,
        packages=packages,
        failures=failures,
        kept=_find_kept(registry, store, wish),
        previous=previous,
        synced_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    store.touch([*(ref.manifest_sha256 for ref in content.packages.values()), *content.kept])
    write_traffic_file(path, content)
    return ServiceSync(
        service=service,
        champion=content.traffic.champion,
        revision=content.revision,
        changed=previous is None or previous.revision != content.revision,
        downloaded=tuple(downloaded),
        failures=content.failures,
    )


def _read_previous(path: Path) -> TrafficFile | None:
    """Return what is served now; a file that nobody can read is served by nobody and is replaced."""
    try:
        return read_traffic_file(path)
    except RegistryError:
        return None


def _bring(registry: Registry, store: PackageStore, service: str, version: str) -> tuple[PackageRef, bool]:
    """Return a version's verified package in the store, and whether it had to be downloaded."""
    known = registry.version(service, version)
    facts, is_new = store.facts(known.manifest_sha256), False
    if facts is None:
        is_new = True
        facts = store.admit(known.manifest_sha256, lambda folder: registry.download(service, known.version, folder))
    if facts.service != service:
        raise PackageError(
            f"manifest.json: the package is of service {facts.service!r}, not {service!r}", cure="Register it again"
        )
    return package_ref(known.manifest_sha256), is_new


def _find_kept(registry: Registry, store: PackageStore, wish: Wish) -> list[str]:
    """Return the digest of the champion before this one, if it is stored: a rollback should not wait for a download."""
    for version in wish.champions[1:2]:
        try:
            digest = registry.version(wish.service, version).manifest_sha256
            return [digest] if store.path(digest).is_dir() else []
        except RegistryUnavailable:
            raise
        except RegistryError:
            return []
    return []


def _used_packages(home: Path) -> set[str] | None:
    """Return the digests that any traffic file refers to; None when one cannot be read, so that nothing is pruned."""
    used: set[str] = set()
    for path in (home / "traffic").glob("*.json"):
        if path.name.startswith("."):
            continue
        try:
            content = read_traffic_file(path)
        except RegistryError:
            return None
        if content is not None:
            used.update(ref.manifest_sha256 for ref in content.packages.values())
            used.update(content.kept)
    return used


if __name__ == "__main__":
    sys.exit(main())

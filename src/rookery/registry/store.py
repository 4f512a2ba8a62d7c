"""`PackageStore`: the folder of verified packages that workers load from.

A package lies at `packages/<manifest digest>`: the manifest names the digest of every other file, so this one digest
addresses the whole content. (The content digest would not do: a second training on equal data has an equal content
digest, yet another manifest, with its own scores and provenance.) Packages are read-only and never change in place.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from rookery.errors import DigestMismatch, PackageError, RegistryError
from rookery.registry.facts import PackageFacts, prove_package
from rookery.registry.lock import file_lock
from rookery.registry.traffic import PACKAGE_PATH

INCOMING = ".incoming-"
OUTGOING = ".outgoing-"
GRACE_SECONDS = 24 * 3600.0
"""How long a package that nothing refers to is kept: a slow worker may still be opening it."""


class PackageStore:
    """The packages below one home folder. Everything but `path` and `facts` is to be called under `locked`."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "packages"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store against other processes, and clear away what killed ones left half-done."""
        with file_lock(self._folder / ".lock"):
            for leftover in self._folder.iterdir():
                if leftover.name.startswith((INCOMING, OUTGOING)):
                    _remove(leftover)
            yield

    def path(self, manifest_sha256: str) -> Path:
        """Return where a package lies, or would lie."""
        if not PACKAGE_PATH.fullmatch(f"packages/{manifest_sha256}"):
            raise RegistryError(f"{manifest_sha256!r} is no digest of a manifest", cure="Register the version again")
        return self._folder / manifest_sha256

    def facts(self, manifest_sha256: str) -> PackageFacts | None:
        """Return the facts of a stored package that opens; None when there is none, or it has been damaged."""
        path = self.path(manifest_sha256)
        if not path.is_dir():
            return None
        try:
            facts = prove_package(path)
        except PackageError:
            return None
        return facts if facts.manifest_sha256 == manifest_sha256 else None

    def admit(self, manifest_sha256: str, fetch: Callable[[Path], object]) -> PackageFacts:
        """Let `fetch` fill a folder, verify it there, and move it into the store, in place of a damaged one.

        Raises:
            PackageError: what was fetched does not open, or is another package than announced.
        """
        path, staging = self.path(manifest_sha256), self._folder / f"{INCOMING}{secrets.token_hex(8)}"
        try:
            fetch(staging)
            facts = prove_package(staging)
            if facts.manifest_sha256 != manifest_sha256:
                raise DigestMismatch(
                    f"manifest.json: has digest {facts.manifest_sha256[:12]}…, registered was {manifest_sha256[:12]}…",
                    cure="Register the version again",
                )
            _make_durable(staging)
            if path.exists():
                self._discard(path)
            staging.rename(path)
        finally:
            _remove(staging)
        self.touch([manifest_sha256])
        return facts

    def touch(self, digests: Collection[str]) -> None:
        """Note that packages are in use now; their grace begins when this ends."""
        for digest in digests:
            if self.path(digest).is_dir():
                os.utime(self.path(digest))

    def prune(self, used: Collection[str], *, grace_seconds: float = GRACE_SECONDS) -> list[str]:
        """Delete packages that nothing has referred to for a while; return their digests."""
        oldest = time.time() - grace_seconds
        pruned = []
        for entry in sorted(self._folder.iterdir()):
            known = PACKAGE_PATH.fullmatch(f"packages/{entry.name}") and entry.name not in used
            if known and entry.is_dir() and entry.stat().st_mtime <= oldest:
                self._discard(entry)
                pruned.append(entry.name)
        return pruned

    def _discard(self, path: Path) -> None:
        """Rename away before deleting: nobody sees half a package under its name."""
        doomed = self._folder / f"{OUTGOING}{secrets.token_hex(8)}"
        path.rename(doomed)
        _remove(doomed)


def _make_durable(directory: Path) -> None:
    """Make a package read-only and have it on the disk before its name is."""
    for entry in sorted(directory.iterdir()):
        entry.chmod(0o444)
        _sync(entry)
    directory.chmod(0o555)
    _sync(directory)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Delete a folder that may be read-only, or be gone."""
    if path.is_dir() and not path.is_symlink():
        path.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

"""`Traffic`: which version of a service answers what share of its predictions; and the file that tells the workers.

`traffic/<service>.json` under the home folder is all that a worker knows of the registry. It is replaced whole, so
that a reader sees the old content or the new one, never a mixture.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rookery.errors import RegistryError


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The policy of one service; without a champion, it answers nothing.

    Raises:
        RegistryError: the weights are no whole percentages that sum to 100, or there is no champion to carry them.
    """

    service: str
    champion: str | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    """Percent per version, summing to 100; left out: all to the champion."""
    sticky: str | None = None
    """The input field whose equal values are answered by the same version; None: each request by itself."""
    shadow: tuple[str, ...] = ()
    """Versions that are scored afterwards and never answer."""

    def __post_init__(self) -> None:
        if self.champion is None:
            if self.weights or self.shadow:
                raise RegistryError(f"{self.service}: traffic without a champion", cure="Promote a version first")
            return
        weights: dict[str, Any] = dict(self.weights) if self.weights else {self.champion: 100}
        for version, percent in weights.items():
            if isinstance(percent, bool) or not isinstance(percent, int) or not 0 <= percent <= 100:
                raise RegistryError(
                    f"{self.service}: version {version} has a weight of {percent!r}",
                    cure="Weights are whole percentages from 0 to 100",
                )
        if sum(weights.values()) != 100:
            raise RegistryError(
                f"{self.service}: the weights {weights} sum to {sum(weights.values())}", cure="They must sum to 100"
            )
        if self.champion in self.shadow:
            raise RegistryError(
                f"{self.service}: version {self.champion} cannot be champion and shadow", cure="Choose one of the two"
            )
        object.__setattr__(self, "weights", weights)

    @property
    def answering(self) -> tuple[str, ...]:
        """The versions that may answer: the champion first, then others with a weight, by name."""
        if self.champion is None:
            return ()
        others = sorted(version for version, percent in self.weights.items() if percent and version != self.champion)
        return (self.champion, *others)

    def to_json(self) -> dict[str, Any]:
        """Return the policy as JSON values, without the service's name."""
        return {
            "champion": self.champion,
            "weights": dict(sorted(self.weights.items())),
            "sticky": self.sticky,
            "shadow": list(self.shadow),
        }


def traffic_from_json(service: str, document: Mapping[str, Any]) -> Traffic:
    """Rebuild a policy from `Traffic.to_json`.

    Raises:
        RegistryError: the document is no policy.
    """
    try:
        champion, sticky = document["champion"], document.get("sticky")
        return Traffic(
            service=service,
            champion=None if champion is None else str(champion),
            weights={str(version): percent for version, percent in document["weights"].items()},
            sticky=None if sticky is None else str(sticky),
            shadow=tuple(str(version) for version in document.get("shadow", ())),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"{service}: the stored traffic policy is unreadable", cure="Promote a version") from error


def agree_traffic(service: str, *, champion: str | None, shadow: str | None, stored: str | None) -> Traffic:
    """Return the policy that holds, given the registry's aliases and its stored policy (JSON text).

    The alias decides who is champion, as it is one atomic write and may be moved by MLflow's own page. A policy
    stored for another champion is out of date: all goes to the new one. The shadow alias joins the shadow set.
    """
    if champion is None:
        return Traffic(service=service)
    policy = Traffic(service=service, champion=champion)
    try:
        kept = traffic_from_json(service, json.loads(stored)) if stored else policy
    except (ValueError, RegistryError):
        kept = policy
    policy = kept if kept.champion == champion else replace(policy, sticky=kept.sticky)
    shadows = [*policy.shadow, *([shadow] if shadow else [])]
    return replace(policy, shadow=tuple(sorted({version for version in shadows if version not in policy.answering})))


def check_policy(traffic: Traffic, service: str, champion: str | None) -> None:
    """Refuse to store a policy for another service or for another champion than the alias names.

    Raises:
        RegistryError: the policy does not fit.
    """
    if traffic.service != service:
        raise RegistryError(f"a traffic policy of {traffic.service} cannot be stored for {service}")
    if traffic.champion is None or traffic.champion != champion:
        raise RegistryError(
            f"{service}: the policy's champion is {traffic.champion}, the registry's is {champion}",
            cure=f"Promote first: `rookery promote {service} VERSION`",
        )


PACKAGE_PATH = re.compile(r"packages/([0-9a-f]{64})")
FILE_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class PackageRef:
    """Where a version's verified package lies."""

    path: str
    """`packages/<manifest_sha256>`, relative to the home folder."""
    manifest_sha256: str


@dataclass(frozen=True, kw_only=True)
class TrafficFile:
    """What the workers of one service are to serve, as of the last synchronisation."""

    service: str
    traffic: Traffic
    aliases: Mapping[str, str] = field(default_factory=dict)
    """The registry's aliases; with a failure, `traffic.champion` may be an older version than the alias names."""
    packages: Mapping[str, PackageRef] = field(default_factory=dict)
    """The package of every version that answers, is a shadow or a challenger."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Why a version (or the champion alias) could not be followed, in words for `/health`."""
    kept: tuple[str, ...] = ()
    """Manifest digests of packages kept for a quick rollback; no worker loads them."""
    synced_at: str = ""
    """ISO 8601, UTC."""

    @property
    def revision(self) -> str:
        """A digest of all that workers act on or show: equal revisions serve equally."""
        document = {key: value for key, value in self.to_json().items() if key not in ("kept", "synced_at")}
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self, *, with_revision: bool = False) -> dict[str, Any]:
        """Return the file's content as JSON values."""
        document: dict[str, Any] = {
            "format": FILE_FORMAT,
            "service": self.service,
            "traffic": self.traffic.to_json(),
            "aliases": dict(sorted(self.aliases.items())),
            "packages": {
                version: {"path": ref.path, "manifest_sha256": ref.manifest_sha256}
                for version, ref in sorted(self.packages.items())
            },
            "failures": dict(sorted(self.failures.items())),
            "kept": list(self.kept),
            "synced_at": self.synced_at,
        }
        return {**document, "revision": self.revision} if with_revision else document


def package_ref(manifest_sha256: str) -> PackageRef:
    """Return the place of the package with this manifest digest."""
    return PackageRef(path=f"packages/{manifest_sha256}", manifest_sha256=manifest_sha256)


def traffic_path(home: Path, service: str) -> Path:
    """Return where a service's traffic file lies."""
    return home / "traffic" / f"{service}.json"


def read_traffic_file(path: Path) -> TrafficFile | None:
    """Read a traffic file; None when there is none yet.

    Raises:
        RegistryError: the file is not one that `write_traffic_file` writes.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror}") from error
    try:
        document = json.loads(text)
        if document["format"] != FILE_FORMAT:
            raise ValueError(f"format {document['format']!r}")
        service = str(document["service"])
        return TrafficFile(
            service=service,
            traffic=traffic_from_json(service, document["traffic"]),
            aliases={str(alias): str(version) for alias, version in document["aliases"].items()},
            packages={str(version): _read_ref(ref) for version, ref in document["packages"].items()},
            failures={str(version): str(reason) for version, reason in document["failures"].items()},
            kept=tuple(str(digest) for digest in document["kept"]),
            synced_at=str(document["synced_at"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RegistryError) as error:
        raise RegistryError(
            f"{path} is no traffic file", cure="Delete it: the next synchronisation writes it anew"
        ) from error


def write_traffic_file(path: Path, content: TrafficFile) -> None:
    """Replace a traffic file by new content, whole and durably.

    Raises:
        RegistryError: the disk refuses it; the old file is as it was.
    """
    text = json.dumps(content.to_json(with_revision=True), indent=2, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RegistryError(f"{path} cannot be written: {error.strerror}", cure="Make room or allow writing") from error


def _read_ref(document: Mapping[str, Any]) -> PackageRef:
    found = PACKAGE_PATH.fullmatch(document["path"])
    if not found or found[1] != document["manifest_sha256"]:
        raise ValueError(document["path"])
    return PackageRef(path=found[0], manifest_sha256=found[1])

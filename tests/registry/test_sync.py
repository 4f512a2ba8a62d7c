"""Synchronisation: what aliases name becomes verified packages and traffic files, and nothing served is lost."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rookery.errors import RegistryError, RegistryUnavailable
from rookery.registry.base import Registry
from rookery.registry.facts import prove_package
from rookery.registry.memory import MemoryRegistry
from rookery.registry.promotion import promote, rollback
from rookery.registry.report import report_from_json
from rookery.registry.sync import sync
from rookery.registry.traffic import Traffic, TrafficFile, read_traffic_file, traffic_path
from tests.registry.conftest import MakePackage
from tests.registry.packages import write_small_package


@pytest.fixture
def memory(tmp_path: Path) -> MemoryRegistry:
    return MemoryRegistry(tmp_path / "memory")


@pytest.fixture
def stored(tmp_path: Path, service: str) -> Callable[[str], Path]:
    """Where the in-memory registry keeps a version, for damaging it."""
    return lambda version: tmp_path / "memory" / service / version


def served(home: Path, service: str) -> TrafficFile:
    content = read_traffic_file(traffic_path(home, service))
    assert content is not None
    return content


def damage(package: Path, file: str = "model.onnx") -> None:
    """Flip one bit in the middle of a file."""
    path = package / file
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_promoted_version_is_brought_verified_and_served(
    registry: Registry, service: str, make_package: MakePackage, home: Path
) -> None:
    """With every kind of registry."""
    registry.register(make_package(shift=0.1))
    registered = registry.register(make_package(shift=0.2))
    promote(registry, service, "2")
    report = sync(registry, home, [service])
    (done,) = report.services
    assert (done.service, done.champion, done.changed, done.downloaded) == (service, "2", True, ("2",))
    assert report.failures == {}
    content = served(home, service)
    assert content.traffic == Traffic(service=service, champion="2")
    assert content.aliases == {"champion": "2"}
    assert set(content.packages) == {"2"}
    package = home / content.packages["2"].path
    assert prove_package(package).manifest_sha256 == registered.manifest_sha256 == package.name
    assert package.stat().st_mode & 0o777 == 0o555
    assert {file.stat().st_mode & 0o777 for file in package.iterdir()} == {0o444}
    again = sync(registry, home, [service]).services[0]
    assert (again.changed, again.downloaded, again.revision) == (False, (), done.revision)


def test_canary_shadow_and_challenger_are_brought_and_others_are_not(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path
) -> None:
    for shift in range(6):
        memory.register(make_package(shift=shift / 10))
    promote(memory, service, "1")
    memory.set_alias(service, "challenger", "4")
    memory.set_alias(service, "shadow", "5")
    policy = Traffic(service=service, champion="1", weights={"1": 90, "2": 10}, sticky="length", shadow=("3",))
    memory.set_traffic(service, policy)
    sync(memory, home)
    content = served(home, service)
    assert set(content.packages) == {"1", "2", "3", "4", "5"}
    assert content.traffic.weights == {"1": 90, "2": 10}
    assert content.traffic.shadow == ("3", "5")
    assert len(list((home / "packages").glob("[0-9a-f]*"))) == 5


def test_every_service_is_synchronised_and_one_without_a_champion_says_so(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path
) -> None:
    memory.register(make_package())
    memory.register(make_package(name="roses"))
    promote(memory, service, "1")
    report = sync(memory, home)
    assert {done.service: done.champion for done in report.services} == {service: "1", "roses": None}
    assert "rookery promote roses" in report.failures["roses/champion"]
    assert served(home, "roses").packages == {}
    assert report_from_json(report.to_json()) == report


def test_an_unknown_service_is_no_error_but_has_its_reason(memory: MemoryRegistry, home: Path) -> None:
    """The server starts, answers 503 with the reason, and serves once something has been trained."""
    report = sync(memory, home, ["tulips"])
    assert report.services[0].champion is None
    assert "names no champion" in served(home, "tulips").failures["champion"]
    with pytest.raises(RegistryError, match="no service's name"):
        sync(memory, home, ["../tulips"])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda package: damage(package), r"model\.onnx"),
        (lambda package: damage(package, "manifest.json"), r"manifest\.json"),
        (lambda package: (package / "golden.jsonl").unlink(), r"golden\.jsonl"),
        (lambda package: (package / "extra.py").write_text("print()"), r"extra\.py"),
        (lambda package: os.truncate(package / "profile.json", 10), r"profile\.json"),
        (
            lambda package: (
                (package / "metrics.json").unlink(),
                (package / "metrics.json").symlink_to("/etc/hostname"),
            ),
            r"metrics\.json.*link",
        ),
    ],
)
def test_a_bad_package_keeps_the_old_version_and_gives_the_reason(
    harm: Callable[[Path], object],
    words: str,
    memory: MemoryRegistry,
    service: str,
    make_package: MakePackage,
    home: Path,
    stored: Callable[[str], Path],
) -> None:
    memory.register(make_package(shift=0.1))
    promote(memory, service, "1")
    sync(memory, home)
    before = served(home, service)
    memory.register(make_package(shift=0.2))
    promote(memory, service, "2")
    for file in stored("2").iterdir():
        file.chmod(0o644)
    harm(stored("2"))
    report = sync(memory, home)
    content = served(home, service)
    assert (content.traffic, content.packages) == (before.traffic, before.packages)
    assert content.aliases == {"champion": "2"}
    assert list(content.failures) == ["2"]
    assert re.search(words, content.failures["2"])
    assert report.failures == {f"{service}/2": content.failures["2"]}
    assert sorted(entry.name for entry in (home / "packages").iterdir()) == [
        ".lock",
        before.packages["1"].manifest_sha256,
    ]
    rollback(memory, service)
    sync(memory, home)
    assert served(home, service).failures == {}


def test_a_bad_package_with_nothing_before_it_serves_nothing_and_gives_the_reason(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path, stored: Callable[[str], Path]
) -> None:
    memory.register(make_package())
    promote(memory, service, "1")
    damage(stored("1"))
    assert sync(memory, home).services[0].champion is None
    assert "model.onnx" in served(home, service).failures["1"]


def test_a_version_whose_files_are_of_another_package_is_refused(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path, stored: Callable[[str], Path]
) -> None:
    """Whole and valid, but not what was registered: another model, or another service's."""
    memory.register(make_package(shift=0.1))
    promote(memory, service, "1")
    for other in (make_package(shift=0.9), make_package(name="roses")):
        shutil.rmtree(stored("1"))
        shutil.copytree(other, stored("1"))
        assert "registered was" in sync(memory, home).failures[f"{service}/1"]


def test_a_package_registered_under_another_services_name_is_refused(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path
) -> None:
    """A registry whose entry and files agree with each other, but not with the name they are filed under."""

    class Misfiled:
        def __getattr__(self, name: str) -> object:
            return lambda _service, *rest: getattr(memory, name)("roses", *rest)

        def traffic(self, service: str) -> Traffic:
            return replace(memory.traffic("roses"), service=service)

    memory.register(make_package(name="roses"))
    promote(memory, "roses", "1")
    report = sync(Misfiled(), home, [service])  # type: ignore[arg-type]
    assert "of service 'roses'" in report.failures[f"{service}/1"]
    assert served(home, service).traffic.champion is None


def test_a_package_damaged_in_the_store_is_brought_again(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path
) -> None:
    memory.register(make_package())
    promote(memory, service, "1")
    sync(memory, home)
    package = home / served(home, service).packages["1"].path
    damage(package)
    report = sync(memory, home)
    assert report.services[0].downloaded == ("1",)
    assert prove_package(package).service == service


def test_what_a_killed_synchronisation_left_is_cleared_away(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path
) -> None:
    memory.register(make_package())
    promote(memory, service, "1")
    left = home / "packages" / ".incoming-0123456789abcdef"
    write_small_package(left, service=service)
    left.chmod(0o555)
    sync(memory, home)
    assert not left.exists()


class Unavailable:
    """A registry that stops answering at one of its methods."""

    def __init__(self, registry: Registry, method: str) -> None:
        self._registry = registry
        self._method = method

    def __getattr__(self, name: str) -> object:
        if name == self._method:
            raise RegistryUnavailable(f"no answer to {name}")
        return getattr(self._registry, name)


@pytest.mark.parametrize("method", ["services", "traffic", "aliases", "champions", "version", "download"])
def test_a_registry_that_is_down_changes_nothing(
    method: str, memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path
) -> None:
    memory.register(make_package(shift=0.1))
    promote(memory, service, "1")
    sync(memory, home)
    memory.register(make_package(shift=0.2))
    promote(memory, service, "2")
    before = traffic_path(home, service).read_bytes()
    with pytest.raises(RegistryUnavailable, match=method):
        sync(Unavailable(memory, method), home)  # type: ignore[arg-type]
    assert traffic_path(home, service).read_bytes() == before
    assert prove_package(home / served(home, service).packages["1"].path).service == service
    sync(memory, home)
    assert served(home, service).traffic.champion == "2"


def test_a_registry_that_forgot_a_service_does_not_take_it_down(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path, tmp_path: Path
) -> None:
    memory.register(make_package())
    promote(memory, service, "1")
    sync(memory, home)
    report = sync(MemoryRegistry(tmp_path / "empty"), home)
    assert report.services[0].champion == "1"
    assert "names no champion" in report.failures[f"{service}/champion"]
    assert prove_package(home / served(home, service).packages["1"].path).service == service


def test_unused_packages_are_pruned_after_a_grace_and_the_champion_before_is_kept(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path
) -> None:
    digests = []
    for shift in (0.1, 0.2, 0.3):
        digests.append(memory.register(make_package(shift=shift)).manifest_sha256)
        promote(memory, service, memory.versions(service)[0].version)
        assert sync(memory, home).pruned == ()
    assert served(home, service).kept == (digests[1],)
    long_ago = time.time() - 30 * 24 * 3600
    for digest in digests:
        os.utime(home / "packages" / digest, (long_ago, long_ago))
    assert sync(memory, home).pruned == (digests[0],)
    assert sorted(entry.name for entry in (home / "packages").glob("[0-9a-f]*")) == sorted(digests[1:])
    rollback(memory, service)
    assert sync(memory, home).services[0].downloaded == ()


def test_nothing_is_pruned_while_a_traffic_file_cannot_be_read(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path
) -> None:
    memory.register(make_package())
    memory.register(make_package(name="roses"))
    promote(memory, service, "1")
    promote(memory, "roses", "1")
    sync(memory, home)
    traffic_path(home, "roses").write_text("{")
    assert sync(memory, home, [service], grace_seconds=-1).pruned == ()
    sync(memory, home, ["roses"], grace_seconds=-1)
    assert served(home, "roses").traffic.champion == "1"
    assert len(list((home / "packages").glob("[0-9a-f]*"))) == 2


def test_synchronisations_at_once_bring_a_package_once(
    memory: MemoryRegistry, service: str, make_package: MakePackage, home: Path
) -> None:
    memory.register(make_package())
    promote(memory, service, "1")
    downloaded: list[str] = []
    threads = [
        threading.Thread(target=lambda: downloaded.extend(sync(memory, home).services[0].downloaded)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert downloaded == ["1"]


def test_a_home_that_cannot_be_written_is_named(memory: MemoryRegistry, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file in the folder's place")
    with pytest.raises(RegistryError, match=r"blocked.* cannot be used"):
        sync(memory, blocked)

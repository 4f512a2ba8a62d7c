"""The watcher tries failed loads again, survives whatever a source does, and obeys the operator's deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rookery.package.opener import open_package
from rookery.serving.loader import Loaded
from rookery.serving.mount import Mount
from rookery.serving.watcher import RETRY_POLLS, Fingerprint, VersionWatcher
from rookery.settings import Settings
from rookery.telemetry.accumulator import SeriesHandle, WorkerMetrics
from tests.serving.conftest import Workshop, serving
from tests.serving.test_mount import mount_of
from tests.serving.test_versions import look


def test_a_package_that_is_repaired_in_place_is_loaded_without_any_other_change(workshop: Workshop) -> None:
    workshop.write_service("penguins")
    digest = workshop.add_package("penguins")
    card = workshop.home / "packages" / digest / "MODEL_CARD.md"
    card.rename(workshop.folder / "card")
    workshop.set_traffic("penguins", {"1": digest})
    client, assembly = serving(workshop.settings, "penguins")
    assert client.predict().status_code == 503
    (workshop.folder / "card").rename(card)
    for _ in range(RETRY_POLLS):
        look(assembly)
    assert client.predict().status_code == 200
    assert client.get("/health").json().get("warnings") is None


class Source:
    """A source that does what the test says."""

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.loads = 0
        self.turn = 0

    def fingerprint(self) -> Fingerprint:
        return (("turn", self.turn, 0, 0),)

    def prepare(self) -> Mapping[str, SeriesHandle]:
        return {}

    def load(self, series: Mapping[str, SeriesHandle]) -> Loaded:
        self.loads += 1
        if self.turn:
            raise MemoryError("no room for it")
        endpoint = self.mount.endpoint
        return Loaded(versions=endpoint.versions, champion="1", weights={"1": 100})


def test_a_source_that_crashes_leaves_what_is_loaded(
    penguin_package: Path, executor: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(mount_of(open_package(penguin_package), executor))
    watcher = VersionWatcher([source], WorkerMetrics("watcher"))
    watcher.load_all()
    source.turn = 1
    asyncio.run(watcher.look_at(source))
    assert source.mount.version == "1"
    assert source.mount.endpoint.reason == "its versions could not be loaded; the server's log says why"
    assert "no room for it" in caplog.text


def test_what_did_not_change_is_not_loaded_again(penguin_package: Path, executor: ThreadPoolExecutor) -> None:
    source = Source(mount_of(open_package(penguin_package), executor))
    watcher = VersionWatcher([source], WorkerMetrics("watcher"))
    watcher.load_all()
    for _ in range(RETRY_POLLS + 1):
        asyncio.run(watcher.look_at(source))
    assert source.loads == 1


def test_the_operators_deadline_replaces_the_services_own(workshop: Workshop, penguin_package: Path) -> None:
    _, assembly = serving(Settings(package=penguin_package, deadline=2.5))
    assert assembly.mounts[0].contract.limits.deadline_seconds == 2.5
    assert serving(Settings(package=penguin_package))[1].mounts[0].contract.limits.deadline_seconds == 10

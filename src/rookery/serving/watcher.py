"""`VersionWatcher`: new versions noticed, loaded beside the old ones, and swapped in without a failed request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rookery.errors import RegistryError
from rookery.package.opener import Opening
from rookery.registry.traffic import TrafficFile, read_traffic_file, traffic_path
from rookery.serving.loader import SINGLE_VERSION, Loaded, apply, load_package, load_traffic
from rookery.serving.mount import Mount
from rookery.telemetry.accumulator import SeriesHandle, WorkerMetrics

logger = logging.getLogger("rookery.serving")

POLL_SECONDS = 0.5
RETRY_POLLS = 30
"""A load that failed is tried again after so many polls, though nothing changed: a disk may have recovered."""

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Names, inodes, sizes and times of change of the files that say what to serve."""


class VersionSource(Protocol):
    """Where a mount's versions come from."""

    mount: Mount

    def fingerprint(self) -> Fingerprint:
        """Return what changes whenever there is something new to load."""

    def prepare(self) -> Mapping[str, SeriesHandle]:
        """Return the counts of the versions that will be loaded; called in the event loop's thread."""

    def load(self, series: Mapping[str, SeriesHandle]) -> Loaded:
        """Load what the source says; called in any thread."""


class TrafficSource:
    """A service's traffic file, written by the registry's synchronisation."""

    def __init__(self, mount: Mount, *, home: Path, metrics: WorkerMetrics, opening: Opening | None = None) -> None:
        self.mount = mount
        self._home = home
        self._metrics = metrics
        self._opening = opening or Opening()
        self._path = traffic_path(home, mount.name)
        self._file: TrafficFile | None = None
        self._problem = ""

    def fingerprint(self) -> Fingerprint:
        """Return the traffic file's inode, size and time of change."""
        return _fingerprint([self._path])

    def prepare(self) -> Mapping[str, SeriesHandle]:
        """Read the traffic file; one that is unreadable leaves all as it was."""
        self._problem = ""
        try:
            self._file = read_traffic_file(self._path)
        except RegistryError as error:
            self._file, self._problem = None, error.message.replace(str(self._path), "the traffic file")
        versions = () if self._file is None else self._file.traffic.answering
        return {version: self._metrics.series(self.mount.name, version) for version in versions}

    def load(self, series: Mapping[str, SeriesHandle]) -> Loaded:
        """Load the versions that answer."""
        if self._problem:
            return Loaded(problems=(self._problem,))
        mount = self.mount
        present = mount.endpoint.versions
        return load_traffic(self._file, mount.contract, present, home=self._home, series=series, opening=self._opening)


class PackageSource:
    """One package folder, served alone."""

    def __init__(
        self, mount: Mount, directory: Path, *, metrics: WorkerMetrics, opening: Opening | None = None
    ) -> None:
        self.mount = mount
        self._directory = directory
        self._metrics = metrics
        self._opening = opening or Opening()

    def fingerprint(self) -> Fingerprint:
        """Return the inodes, sizes and times of change of the package's files."""
        try:
            return _fingerprint(sorted(self._directory.iterdir()))
        except OSError:
            return ()

    def prepare(self) -> Mapping[str, SeriesHandle]:
        """Return the counts of its one version."""
        return {SINGLE_VERSION: self._metrics.series(self.mount.name, SINGLE_VERSION)}

    def load(self, series: Mapping[str, SeriesHandle]) -> Loaded:
        """Open the package, unless it is loaded already: packages never change, only folders do."""
        if self.mount.endpoint.champion is not None:
            endpoint = self.mount.endpoint
            return Loaded(versions=endpoint.versions, champion=SINGLE_VERSION, weights={SINGLE_VERSION: 100})
        return load_package(self._directory, series=series[SINGLE_VERSION], opening=self._opening)


class VersionWatcher:
    """Looks at every source twice a second, and loads what is new in a thread."""

    def __init__(self, sources: Sequence[VersionSource], metrics: WorkerMetrics) -> None:
        self.sources = tuple(sources)
        self._metrics = metrics
        self._seen: dict[VersionSource, Fingerprint] = {}
        self._patience: dict[VersionSource, int] = {}

    def load_all(self) -> None:
        """Load everything now, in this thread; what fails leaves its reason on its mount."""
        for source in self.sources:
            self._seen[source] = source.fingerprint()
            self._finish(source, _load(source, source.prepare()))

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            for source in self.sources:
                await self.look_at(source)
            await asyncio.sleep(POLL_SECONDS)

    async def look_at(self, source: VersionSource) -> None:
        """Load what a source has to say that is new, if anything."""
        found = source.fingerprint()
        if found == self._seen.get(source) and not self._is_retry_due(source):
            return
        self._seen[source] = found
        series = source.prepare()
        self._finish(source, await asyncio.to_thread(_load, source, series))

    def _is_retry_due(self, source: VersionSource) -> bool:
        if source not in self._patience:
            return False
        self._patience[source] -= 1
        return self._patience[source] <= 0

    def _finish(self, source: VersionSource, loaded: Loaded) -> None:
        mount, before = source.mount, (source.mount.version, source.mount.endpoint.reason)
        apply(loaded, mount, self._metrics)
        if loaded.problems:
            self._patience[source] = RETRY_POLLS
        else:
            self._patience.pop(source, None)
        if before != (mount.version, mount.endpoint.reason):
            if mount.endpoint.reason:
                logger.warning("%s: %s", mount.name, mount.endpoint.reason)
            else:
                logger.info("%s: version %s answers", mount.name, mount.version)


def _load(source: VersionSource, series: Mapping[str, SeriesHandle]) -> Loaded:
    """Load; whatever a broken package does to us, the versions that are loaded go on answering."""
    try:
        return source.load(series)
    except Exception:
        logger.exception("%s: its versions could not be loaded", source.mount.name)
        return Loaded(problems=("its versions could not be loaded; the server's log says why",))


def _fingerprint(paths: Sequence[Path]) -> Fingerprint:
    found = []
    for path in paths:
        try:
            facts = path.stat()
        except OSError:
            continue
        found.append((path.name, facts.st_ino, facts.st_size, facts.st_mtime_ns))
    return tuple(found)

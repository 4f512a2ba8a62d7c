"""`Endpoint`: one service in one worker, with the model versions it can answer by."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Protocol

from rookery.errors import NotReady
from rookery.package.opener import Package
from rookery.service.contract import Contract
from rookery.service.task import Classification
from rookery.telemetry.accumulator import SeriesHandle

LIGHT_SECONDS = 200e-6
"""A model whose single run takes no longer is light: it is run inline, without a thread."""
BATCH_GAIN = 1.05
"""What twice as many rows in a batch must bring in rows per second to be worth the wait."""
LONGEST_RUN_SECONDS = 0.5
"""Batches that would take longer are not tried: everybody in one waits for all of it, and measuring takes several."""


class LoadedVersion:
    """A verified package, ready to answer as one version of a service."""

    def __init__(self, package: Package, version: str, *, series: SeriesHandle) -> None:
        self.package = package
        self.version = version
        self.series = series
        self.model_name = package.manifest.model_name
        self.low, self.high = package.profile.ranges()
        task = package.manifest.task_object()
        self.labels: tuple[str, ...] = task.labels if isinstance(task, Classification) else ()
        session = package.session
        self.device = "cpu" if session is None else session.device
        self.run_seconds = math.inf if session is None else session.measure_latency()
        """Of one row; a function is never light."""
        self.batch_rows = 1 if session is None or self.is_light else find_batch_rows(session, self.run_seconds)
        """As many rows of a heavy model are run together at most: with more of them each takes no less time."""
        self.header = b"x-model-version: " + version.encode("ascii") + b"\r\n"

    @property
    def is_light(self) -> bool:
        """Whether one run is short enough for the event loop; pictures must be decoded, which is not."""
        return self.run_seconds <= LIGHT_SECONDS and self.package.schema.picture is None


class Timed(Protocol):
    """What can be asked how long it takes; see `OnnxSession.measure_latency`."""

    def measure_latency(self, rows: int = 1) -> float:
        """Return the seconds of a run of so many rows."""


def find_batch_rows(session: Timed, single_seconds: float) -> int:
    """Return how many rows to run together: of 1, 2, 4, 8 and 16 the first after which more rows bring no more.

    Larger batches make everybody in them wait, so each doubling must pay by `BATCH_GAIN` in rows per second. One that
    does not is measured twice: something else may have had the processor.
    """
    rows, rate = 1, 1 / single_seconds
    for size in (2, 4, 8, 16):
        if size / rate > LONGEST_RUN_SECONDS:
            break
        found = size / session.measure_latency(size)
        if found < rate * BATCH_GAIN:
            found = max(found, size / session.measure_latency(size))
        if found < rate * BATCH_GAIN:
            break
        rows, rate = size, found
    return rows


class Endpoint:
    """One service in one worker: its contract, loaded versions and traffic.

    `install` swaps all of it between two passes; calls under way keep the version they were split to.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.versions: Mapping[str, LoadedVersion] = {}
        self.champion: LoadedVersion | None = None
        """The version that serves by default; None while nothing is loaded."""
        self.aliases: Mapping[str, str] = {}
        self.reason = "no version is loaded yet"
        """Why there is no version, or why the newest one was refused; empty when all is well."""
        self.is_light = False
        """Whether every loaded version is light, so that calls may be answered inline."""
        self.in_flight = 0
        """Calls that wait for a thread; calls answered inline never count."""
        self._shares: tuple[tuple[int, LoadedVersion], ...] = ()

    def install(
        self,
        versions: Mapping[str, LoadedVersion],
        *,
        champion: str,
        weights: Mapping[str, int],
        aliases: Mapping[str, str],
    ) -> None:
        """Answer by `versions` from the next pass on.

        `weights` are percentages per version; versions that are not loaded leave their share to the champion.
        """
        upto, shares = 0, []
        for version, percent in sorted(weights.items()):
            if version != champion and version in versions and percent > 0:
                upto += percent
                shares.append((upto, versions[version]))
        self.versions = dict(versions)
        self.champion = versions[champion]
        self.aliases = dict(aliases)
        self._shares = tuple(shares)
        self.is_light = all(loaded.is_light for loaded in versions.values())
        self.reason = ""

    @property
    def is_split(self) -> bool:
        """Whether traffic goes to more than one version."""
        return bool(self._shares)

    def choose(self, key: str) -> LoadedVersion:
        """Return the version that answers `key`: the same key, the same version, as long as weights stay.

        Raises:
            NotReady: no version is loaded.
        """
        if self.champion is None:
            raise NotReady(f"{self.contract.name}: {self.reason}")
        if self._shares:
            bucket = zlib.crc32(key.encode()) % 100
            for upto, loaded in self._shares:
                if bucket < upto:
                    return loaded
        return self.champion

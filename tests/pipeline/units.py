"""Pictures without pixels for tests of batches and caches: what they come to is told by their name."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from rookery.errors import InvalidPicture, RequestError
from rookery.fields.pictures.header import PictureHeader
from rookery.pipeline.call import Call, PictureCall
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.picture import Picture
from rookery.pipeline.unit import Outcome, Unit
from rookery.service.picture_prediction import PictureFacts
from tests.pipeline.conftest import Bench


def make_unit(version: LoadedVersion, name: str, *, place: int = 0, call: PictureCall | None = None) -> Unit:
    """Return a unit whose picture's content is its name."""
    data = name.encode()
    header = PictureHeader(format="PNG", width=1, height=1, mode="RGB")
    picture = Picture(data, header, data.ljust(32, b"\0"), PictureFacts(name, "PNG", 1, 1))
    owner = call or PictureCall("single", (), (), time.perf_counter())
    return Unit(version, owner, picture=picture, place=place)


def make_rows(version: LoadedVersion, *weights: float) -> Unit:
    """Return a unit of parcels, one row for each weight, all of them sent the normal way."""
    rows = np.asarray([[weight, 100.0, 0.0] for weight in weights], np.float32)
    return Unit(version, Call("batch", b"", time.perf_counter()), rows=rows)


def value_of(name: str, version: str) -> float:
    """Return the number that a picture comes to: another one for every name and version."""
    return float(int(version) * 1_000_000 + int(name.partition("-")[2] or 0))


class Model:
    """Stands in for inference: slow, and deadly to what is called poison; notes what ran together."""

    def __init__(self, *, seconds: float = 0.0, is_gated: bool = False) -> None:
        self.gate = threading.Event()
        self.runs: list[list[str]] = []
        self.versions: list[set[str]] = []
        self._seconds = seconds
        if not is_gated:
            self.gate.set()

    def __call__(self, units: Sequence[Unit]) -> list[Outcome | RequestError]:
        """Answer units as `infer_units` does."""
        assert self.gate.wait(20)
        time.sleep(self._seconds)
        names = [unit.picture.data.decode() for unit in units if unit.picture is not None]
        self.runs.append(names)
        self.versions.append({unit.version.version for unit in units})
        return [
            InvalidPicture(f"{name} is poison")
            if name.startswith("poison")
            else Outcome(outputs=np.asarray([value_of(name, unit.version.version)], np.float32), seconds=0.001)
            for name, unit in zip(names, units, strict=True)
        ]


class SwappingModel(Model):
    """The positive control: it gives neighbours each other's answers."""

    def __call__(self, units: Sequence[Unit]) -> list[Outcome | RequestError]:
        """Answer units the wrong way round."""
        return super().__call__(units)[::-1]


def two_versions(*packages: Any, batch_rows: int = 4) -> tuple[LoadedVersion, LoadedVersion]:
    """Return two loaded versions that run so many rows together."""
    versions = Bench(*packages).endpoint.versions
    for version in versions.values():
        version.batch_rows = batch_rows
    return versions["1"], versions["2"]


def answer_of(outcome: Outcome | RequestError) -> float | str:
    """Return the number that an outcome holds, or what is wrong."""
    if isinstance(outcome, Outcome):
        assert outcome.outputs is not None
        return float(outcome.outputs[0])
    return outcome.message


def expected_of(name: str, version: str) -> float | str:
    """Return what a unit of that name and version must come to."""
    return f"{name} is poison" if name.startswith("poison") else value_of(name, version)

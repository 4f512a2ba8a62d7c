"""A service over tiny pictures that hold a number in their colour: its answers can be told by heart, too."""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from pydantic import BaseModel, Field

from rookery.fields.pictures.spec import Image
from rookery.package.function import FunctionCode
from rookery.package.opener import Package
from rookery.pipeline.answer_cache import AnswerCache
from rookery.pipeline.batcher import Batcher
from rookery.pipeline.call import Call, PictureCall
from rookery.pipeline.heavy import HeavyPath
from rookery.pipeline.picture import Upload
from rookery.pipeline.unit import infer_units
from rookery.service.definition import Service
from rookery.service.picture_prediction import PicturePrediction
from rookery.service.policies import Limits
from tests.pipeline.conftest import Bench

ANGRY = 99
"""Numbers that end so make the function raise."""


class Postcard(BaseModel):
    """A picture whose first pixel says a number."""

    image: Annotated[bytes, Image(mode="RGB", max_pixels=10_000)]
    factor: int = Field(1, ge=1, le=9)


class Postcards:
    """One version's function; notes how often each thing is computed, and how often twice at a time."""

    def __init__(self, version: int, *, seconds: float = 0.0) -> None:
        self.version = version
        self.computed: Counter[tuple[int, int]] = Counter()
        self.doubles: list[tuple[int, int]] = []
        self._seconds = seconds
        self._running: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

    def __call__(self, picture: npt.NDArray[np.uint8], parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the number in a picture, times a parameter, and which version says so."""
        number = int(picture[0, 0].astype(int) @ (65_536, 256, 1))
        key = (number, parameters["factor"])
        with self._lock:
            self.computed[key] += 1
            if key in self._running:
                self.doubles.append(key)
            self._running.add(key)
        time.sleep(self._seconds)
        with self._lock:
            self._running.discard(key)
        if number % 100 == ANGRY:
            raise OSError("unlucky")
        parameters.clear()  # type: ignore[attr-defined]  # a rude function: its neighbours must not notice
        return {"number": number * key[1], "by": self.version}


def respond(prediction: PicturePrediction) -> dict[str, Any]:
    """Answer what the function says, who is answered, and whether it was known."""
    return {**prediction.result, "name": prediction.picture.filename, "cached": prediction.cached}


class Answer(BaseModel):
    """A number, and who said so."""

    number: int
    by: int
    name: str
    cached: bool


SERVICE = Service(
    name="postcards",
    input=Postcard,
    output=Answer,
    respond=respond,
    function=Postcards(0),
    limits=Limits(rows=32),
)


def postcard_bench(
    package: Package, *functions: Postcards, same_digest: bool = False, batch_rows: int = 4, **limits: Any
) -> Bench:
    """Return a pipeline over versions of a function, with equal shares of the traffic.

    With `same_digest` they cannot be told apart by their packages' digests, as if a cache's key left the version out.
    """
    packages = [
        replace(
            package,
            session=None,
            schema=SERVICE.schema,
            manifest_sha256=("0" if same_digest else str(function.version)) * 64,
            code=FunctionCode(run=function, digest="", mode="RGB", defaults={"factor": 1}),
        )
        for function in functions
    ]
    shares = {str(number): 100 // len(functions) for number in range(1, len(functions) + 1)}
    bench = Bench(*packages, service=replace(SERVICE, limits=replace(SERVICE.limits, **limits)), weights=shares)
    for version in bench.endpoint.versions.values():
        version.batch_rows = batch_rows
    return bench


def heavy_path(
    bench: Bench, executor: Executor, *, cache: AnswerCache | None = None, runs: int = 2, infer: Any = infer_units
) -> HeavyPath:
    """Return the heavy path of a pipeline; its cache knows what is under way, as a mount's does."""
    batcher = Batcher(infer, executor, runs=runs)
    if cache is not None:
        cache._is_under_way = batcher.is_under_way
    return HeavyPath(bench.pipeline, batcher, cache)


@lru_cache(maxsize=4096)
def draw(number: int, *, is_torn: bool = False) -> bytes:
    """Return a PNG that holds a number; a torn one has a sound header and no pixels."""
    stream = io.BytesIO()
    colour = (number >> 16, number >> 8 & 255, number & 255)
    PillowImage.new("RGB", (20, 10), colour).save(stream, "PNG")
    return stream.getvalue()[:45] if is_torn else stream.getvalue()


def make_picture_call(*pictures: bytes, factor: int = 1, kind: Any = None) -> PictureCall:
    """Return a call with files called by their places."""
    uploads = [Upload(f"{place}.png", data) for place, data in enumerate(pictures)]
    kind = kind or ("single" if len(pictures) == 1 else "batch")
    return PictureCall(kind, uploads, [("factor", str(factor))], time.perf_counter())


def read(call: Call) -> list[dict[str, Any]]:
    """Return the answers that a call was sent, one for each of its pictures."""
    assert call.error is None, call.error
    answer = json.loads(call.payload or b"")
    return [answer] if call.kind == "single" else list(answer["predictions"])

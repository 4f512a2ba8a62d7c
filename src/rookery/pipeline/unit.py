"""Units: what is inferred, batched and cached as a whole, and what comes of each."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from rookery.errors import InferenceFailed, RequestError
from rookery.package.session import Inputs, Matrix
from rookery.pipeline.call import Call, Pass, PictureCall
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.picture import Picture

logger = logging.getLogger("rookery.pipeline")

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """The rows of one call, or one picture, for one version to answer."""

    version: LoadedVersion
    call: Call
    """Whom it belongs to; the first of them where several calls ask for the same."""
    rows: Inputs | None = None
    """float32 [count, columns]; None of a picture, which is decoded when it is its turn."""
    picture: Picture | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    place: int = 0
    """Which of its call's pictures it is."""

    @property
    def count(self) -> int:
        """How many rows of a batch it takes."""
        return 1 if self.rows is None else len(self.rows)

    @property
    def size(self) -> int:
        """Bytes that it keeps in memory while it waits."""
        return self.rows.nbytes if self.rows is not None else 0 if self.picture is None else len(self.picture.data)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a unit came to: a model's outputs, or the fields of a function's result."""

    outputs: Matrix | None = None
    """float32 [count, labels] or [count]."""
    result: Mapping[str, bytes] = field(default_factory=dict)
    """Each field's JSON."""
    seconds: float = 0.0
    """How long the run took that it came from."""
    cached: bool = False


def make_units(work: Pass) -> list[Unit]:
    """Return what a pass has to be inferred: of pictures each one, of rows those of each call together."""
    version = work.version
    if version is None:
        raise InferenceFailed("a pass reached inference without a version")
    units: list[Unit] = []
    for call in work.calls:
        if isinstance(call, PictureCall):
            units += [
                Unit(version, call, picture=picture, parameters=call.parameters, place=place)
                for place, picture in enumerate(call.pictures)
            ]
        elif work.matrix is not None:
            units.append(Unit(version, call, rows=work.matrix[call.start : call.stop]))
    return units


def infer_units(units: Sequence[Unit]) -> list[Outcome | RequestError]:
    """Answer units of one version together, in whatever thread; each has its own fault, and no other unit's.

    Pictures are decoded here. Should the joint run fail, every unit is run by itself.
    """
    start = time.perf_counter()
    try:
        if units[0].version.package.code is not None:
            return [_call_function(unit) for unit in units]
        return _run_graph(units, start)
    except Exception as error:
        if len(units) > 1:
            return [infer_units([unit])[0] for unit in units]
        return [_explain(units[0], error)]


def _run_graph(units: Sequence[Unit], start: float) -> list[Outcome | RequestError]:
    """Run the rows of all units at once; units whose picture is faulty or whose answer is not finite fail alone."""
    found: list[Outcome | RequestError | None] = [None] * len(units)
    rows: dict[int, Inputs] = {}
    for place, unit in enumerate(units):
        try:
            rows[place] = _prepare(unit)
        except Exception as error:
            found[place] = _explain(unit, error)
    if rows:
        parts = list(rows.values())
        together: Any = parts[0] if len(parts) == 1 else np.concatenate(parts)
        outputs = units[0].version.package.run(together)
        if len(outputs) != len(together):
            raise ValueError(f"{len(together)} rows were answered by {len(outputs)}")
        finite = np.asarray(np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1))
        seconds, row = time.perf_counter() - start, 0
        for place, part in rows.items():
            stop = row + len(part)
            if finite[row:stop].all():
                found[place] = Outcome(outputs=outputs[row:stop], seconds=seconds)
            else:
                name = units[place].version.model_name
                found[place] = InferenceFailed(f"{name}: the model's answer is not a finite number")
            row = stop
    return [outcome for outcome in found if outcome is not None]


def _prepare(unit: Unit) -> Inputs:
    """Return a unit's rows as the graph reads them: of a picture float32 [1, pixels], or uint8 [1, h, w, channels]."""
    if unit.rows is not None:
        return unit.rows
    pixels = _decode(unit)
    if unit.version.package.schema.columns:
        return pixels.reshape(1, -1).astype(np.float32)
    return pixels[None]


def _decode(unit: Unit) -> npt.NDArray[np.uint8]:
    from rookery.fields.pictures.fit import prepare_picture  # needs Pillow, which only picture services have

    picture, field_ = unit.picture, unit.version.package.schema.picture
    if picture is None or field_ is None:
        raise ValueError("a unit has neither rows nor a picture")
    return prepare_picture(picture.data, picture.header, field_.image)


def _call_function(unit: Unit) -> Outcome | RequestError:
    start = time.perf_counter()
    try:
        code = unit.version.package.code
        if code is None:
            raise ValueError("a graph is no function")
        # A copy: what a function does to its parameters must not reach the next picture of the same call.
        fields = code.run(_decode(unit), dict(unit.parameters))
        result = {str(name): _encode(value) for name, value in fields.items()}
    except Exception as error:
        return _explain(unit, error)
    return Outcome(result=result, seconds=time.perf_counter() - start)


def _explain(unit: Unit, error: Exception) -> RequestError:
    """Return the error to answer; one that is no request's fault goes to the log, and not to the client."""
    if isinstance(error, RequestError):
        return error
    name = unit.version.package.manifest.service
    logger.error("%s: call %s failed in inference", name, unit.call.request_id, exc_info=error)
    return InferenceFailed(f"{name}: the prediction failed")

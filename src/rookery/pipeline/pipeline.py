"""`Pipeline`: the order of the stages, and what happens when one of them fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from rookery.errors import InferenceFailed, RequestError
from rookery.pipeline.admit import Admit
from rookery.pipeline.call import Call, Pass
from rookery.pipeline.encode import Encode, ErrorEncoder
from rookery.pipeline.endpoint import Endpoint
from rookery.pipeline.finish import Finish
from rookery.pipeline.finish_pictures import FinishPictures
from rookery.pipeline.ids import make_request_ids
from rookery.pipeline.infer import Infer
from rookery.pipeline.observe import Observe
from rookery.pipeline.read import Read
from rookery.pipeline.read_pictures import ReadPictures, locate
from rookery.pipeline.split import Split
from rookery.pipeline.unit import Outcome, Unit, infer_units, make_units
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.logs import PredictionLog

logger = logging.getLogger("rookery.pipeline")

Stage = Callable[[Pass], None]


class Pipeline:
    """One service's stages in order: admit, read, split; infer; finish, encode, observe.

    `run` makes the whole journey in one pass. Heavy models make it in parts (`heavy.py`): `begin` in the event loop,
    inference in threads, `complete` in the event loop again. A service that takes pictures has its own stages to
    read, infer and finish. A stage that raises answers 500 to the call that made
    it raise and to no other: the pass is repeated call by call from that stage on.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        encode_error: ErrorEncoder,
        metrics: WorkerMetrics,
        log: PredictionLog | None = None,
    ) -> None:
        self.endpoint = endpoint
        contract = endpoint.contract
        picture = contract.schema.picture
        read: Stage = Read(contract) if picture is None else ReadPictures(contract, picture)
        self._before: tuple[Stage, ...] = (Admit(endpoint), read)
        self._split = Split(endpoint)
        self._infer: Stage = Infer() if picture is None else infer_pictures
        self._finish: Stage = Finish(contract) if picture is None else FinishPictures(contract)
        self._encode = Encode(encode_error)
        self._observe = Observe(endpoint, metrics, log)

    def run(self, calls: list[Call]) -> None:
        """Answer every call, all in this thread."""
        passes = self.begin(calls)
        for work in passes:
            self.infer(work)
        self.complete(calls, passes)

    def begin(self, calls: list[Call]) -> list[Pass]:
        """Admit, read and split; returns what is left to infer, one pass per version."""
        work = Pass(calls)
        for stage in self._before:
            if work.calls:
                self._guard(stage, work)
        return self._split(work) if work.calls else []

    def infer(self, work: Pass) -> None:
        """Run the model over a pass; may be called in any thread."""
        start = time.perf_counter()
        self._guard(self._infer, work)
        work.run_seconds = time.perf_counter() - start

    def complete(self, calls: list[Call], passes: list[Pass]) -> None:
        """Finish the passes' calls, then encode and observe all `calls`, failed ones too."""
        for work in passes:
            if work.calls and work.version is not None:
                if work.run_seconds:  # what was cached ran for somebody else
                    work.version.series.observe_run(work.run_seconds, len(work.calls))
                self._guard(self._finish, work)
        self._encode(calls)
        self._observe(calls)

    def refuse(self, call: Call, error: Exception) -> None:
        """Answer a call with an error, wherever it has come to; one that is no request's fault goes to the log."""
        if not call.request_id:
            (call.request_id,) = make_request_ids(1)
        self._fail(call, error)
        self.complete([call], [])

    def _guard(self, stage: Stage, work: Pass) -> None:
        """Run a stage; if it raises, run it call by call, so that only the calls at fault fail."""
        try:
            stage(work)
            return
        except Exception as error:
            if len(work.calls) == 1:
                self._fail(work.calls[0], error)
                work.calls = []
                return
        survivors = []
        for call in work.calls:
            alone = work.select([call])
            self._guard(stage, alone)
            survivors.append(alone)
        work.merge(survivors)

    def _fail(self, call: Call, error: Exception) -> None:
        if isinstance(error, RequestError):
            call.error = error
            return
        name = self.endpoint.contract.name
        logger.error("%s: call %s failed inside the pipeline", name, call.request_id, exc_info=error)
        call.error = InferenceFailed(f"{name}: the prediction failed")


def infer_pictures(work: Pass) -> None:
    """Decode and answer a pass of pictures in this thread."""
    units = make_units(work)
    together = 1 if work.version is None else work.version.batch_rows
    found: list[Outcome | RequestError] = []
    for start in range(0, len(units), together):
        found += infer_units(units[start : start + together])
    take_outcomes(work, units, found)


def take_outcomes(work: Pass, units: Sequence[Unit], found: Sequence[Outcome | RequestError]) -> None:
    """Give a pass what its units came to; a call of which one failed leaves it with that one's error."""
    for unit, outcome in zip(units, found, strict=True):
        if not isinstance(outcome, Outcome) and unit.call.error is None:
            unit.call.error = locate(outcome, unit.call, unit.place)
    outcomes = [outcome for outcome in found if isinstance(outcome, Outcome)]
    work.run_seconds = max((outcome.seconds for outcome in outcomes), default=0.0)
    if len(outcomes) < len(found):
        work.keep([call for call in work.calls if call.error is None])
        kept = {id(call) for call in work.calls}
        outcomes = [o for unit, o in zip(units, found, strict=True) if id(unit.call) in kept and isinstance(o, Outcome)]
    if work.matrix is None:
        work.outcomes = outcomes
    elif outcomes:
        work.outputs = np.concatenate([outcome.outputs for outcome in outcomes if outcome.outputs is not None])

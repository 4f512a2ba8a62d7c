"""`Call` and `Pass`: one request on its way, and the calls that travel together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from rookery.errors import RequestError

if TYPE_CHECKING:
    from rookery.pipeline.endpoint import LoadedVersion
    from rookery.pipeline.picture import Picture, Upload
    from rookery.pipeline.unit import Outcome

CallKind = Literal["single", "batch"]
CacheResult = Literal["hit", "shared", "miss"]
"""An earlier request computed the answer, one that was under way did, or this one."""
Matrix = npt.NDArray[np.float32]


class Call:
    """One request's bytes and, as it travels, its rows, version and answer.

    A call is answered when `payload` is set: by `encode`, whether with an answer or with an error.
    """

    __slots__ = (
        "answers",
        "body",
        "cache_result",
        "client_request_id",
        "error",
        "kind",
        "payload",
        "received",
        "reply_to",
        "request_id",
        "rows",
        "start",
        "status",
        "sticky_key",
        "stop",
        "version",
    )

    def __init__(
        self,
        kind: CallKind,
        body: bytes,
        received: float,
        *,
        client_request_id: str | None = None,
        sticky_key: str | None = None,
        reply_to: Any = None,
    ) -> None:
        self.kind = kind
        self.body = body
        self.received = received
        """When the request was complete, on the clock of `time.perf_counter`."""
        self.client_request_id = client_request_id
        self.sticky_key = sticky_key
        self.reply_to = reply_to
        """Whatever the door needs to send the answer; the pipeline never looks at it."""
        self.request_id = ""
        self.rows: Sequence[BaseModel] = ()
        self.start = 0
        self.stop = 0
        self.version: LoadedVersion | None = None
        self.answers: list[dict[str, Any]] = []
        self.error: RequestError | None = None
        self.status = 0
        self.cache_result: CacheResult | None = None
        """Where the answer came from; None where answers are not cached."""
        self.payload: bytes | None = None

    def logged_answer(self) -> Mapping[str, Any]:
        """Return what a log line says of the answer."""
        return self.answers[0] if self.kind == "single" else {"rows": len(self.answers)}


class PictureCall(Call):
    """A request with pictures: files and a form's texts instead of a JSON body."""

    __slots__ = ("form", "parameters", "pictures", "uploads")

    def __init__(
        self,
        kind: CallKind,
        uploads: Sequence[Upload],
        form: Sequence[tuple[str, str]],
        received: float,
        *,
        client_request_id: str | None = None,
    ) -> None:
        super().__init__(kind, b"", received, client_request_id=client_request_id)
        self.uploads = uploads
        self.form = form
        """Parameters by name, as texts; a name that was sent twice stands twice."""
        self.parameters: Mapping[str, Any] = {}
        self.pictures: list[Picture] = []

    def logged_answer(self) -> Mapping[str, Any]:
        """Return the first label and its confidence, if the answer has any: a list of keypoints would be no line."""
        first = self.answers[0] if self.answers else {}
        plain = {name: value for name, value in first.items() if isinstance(value, (str, int, float))}
        return {**plain, "pictures": len(self.pictures)}


class Pass:
    """Calls that go through the stages together, with one row of `matrix` for each of their inputs.

    The rows of call `c` are `matrix[c.start:c.stop]`; after `split` all calls of a pass share one version.
    """

    __slots__ = ("calls", "matrix", "outcomes", "outputs", "run_seconds", "version")

    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls
        self.matrix: Matrix | None = None
        self.outputs: Matrix | None = None
        self.outcomes: list[Outcome] = []
        """Of pictures: one outcome per row, in place of `outputs`."""
        self.version: LoadedVersion | None = None
        self.run_seconds = 0.0
        """How long the model ran for this pass."""

    def select(self, calls: list[Call]) -> Pass:
        """Return a pass of only `calls`, their rows renumbered from 0."""
        chosen = Pass(calls)
        chosen.version = self.version
        indices: list[int] = []
        for call in calls:
            rows = range(call.start, call.stop)
            call.start, call.stop = len(indices), len(indices) + len(rows)
            indices.extend(rows)
        if self.matrix is not None:
            chosen.matrix = self.matrix[indices]
        if self.outputs is not None:
            chosen.outputs = self.outputs[indices]
        if self.outcomes:
            chosen.outcomes = [self.outcomes[index] for index in indices]
        return chosen

    def keep(self, calls: list[Call]) -> None:
        """Drop every call but `calls`, with its rows."""
        self._become(self.select(calls))

    def merge(self, parts: list[Pass]) -> None:
        """Become the sum of `parts`, which were selected from this pass; parts that lost all calls are left out."""
        parts = [part for part in parts if part.calls]
        whole, row = Pass([]), 0
        for part in parts:
            for call in part.calls:
                call.start, call.stop, row = row, row + call.stop - call.start, row + call.stop - call.start
                whole.calls.append(call)
        if parts and parts[0].matrix is not None:
            whole.matrix = np.concatenate([part.matrix for part in parts if part.matrix is not None])
        if parts and parts[0].outputs is not None:
            whole.outputs = np.concatenate([part.outputs for part in parts if part.outputs is not None])
        whole.outcomes = [outcome for part in parts for outcome in part.outcomes]
        self._become(whole)

    def _become(self, other: Pass) -> None:
        self.calls, self.matrix = other.calls, other.matrix
        self.outputs, self.outcomes = other.outputs, other.outcomes

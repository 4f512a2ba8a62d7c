"""`finish`: model outputs turned into the service's own answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import repeat
from operator import getitem
from typing import Any

from pydantic import BaseModel

from rookery.fields.ranges import range_warnings
from rookery.pipeline.call import Call, Matrix, Pass
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.ids import make_request_ids
from rookery.pipeline.probabilities import make_labeller, round_probabilities
from rookery.service.contract import Contract
from rookery.service.prediction import Prediction


class Finish:
    """Build one `Prediction` per row, with its warnings, and let the service's `respond` phrase it."""

    def __init__(self, contract: Contract) -> None:
        self._schema = contract.schema
        self._respond = contract.respond
        self._threshold = contract.confidence_threshold

    def __call__(self, work: Pass) -> None:
        """Set every call's answers."""
        version, outputs, matrix = work.version, work.outputs, work.matrix
        if version is None or outputs is None or matrix is None:
            raise ValueError("a pass reached finish without outputs")
        ids, latencies = _number_rows(work.calls)
        make = _classify if version.labels else _regress
        predictions = make(version, outputs, ids, latencies)
        has_warnings = self._warn(version, matrix, predictions)
        answers: list[Any] = list(map(self._respond, predictions))
        if has_warnings or set(map(type, answers)) != {dict}:
            answers = list(map(write_plainly, answers, predictions))
        for call in work.calls:
            call.answers = answers[call.start : call.stop]

    def _warn(self, version: LoadedVersion, matrix: Matrix, predictions: list[Prediction]) -> bool:
        """Give the predictions their warnings; returns whether there are any."""
        warned = range_warnings(self._schema, version.low, version.high, matrix)
        for row, warnings in warned.items():
            predictions[row].warnings = warnings
        threshold = self._threshold
        if threshold is None:
            return bool(warned)
        unsure = [p for p in predictions if p.confidence is not None and p.confidence < threshold]
        for prediction in unsure:
            prediction.warnings = [*prediction.warnings, doubt_of(prediction, threshold)]
        return bool(warned or unsure)


def _number_rows(calls: list[Call]) -> tuple[list[str], list[float]]:
    """Return the id of every row (a single call's own, new ones for a batch) and its latency so far, in ms."""
    now = time.perf_counter()
    ids: list[str] = []
    latencies: list[float] = []
    for call in calls:
        latency_ms = round((now - call.received) * 1e6) / 1e3
        if call.kind == "single":
            ids.append(call.request_id)
            latencies.append(latency_ms)
        else:
            count = call.stop - call.start
            ids += make_request_ids(count)
            latencies += [latency_ms] * count
    return ids, latencies


def _classify(version: LoadedVersion, outputs: Matrix, ids: list[str], latencies: list[float]) -> list[Prediction]:
    """Build the predictions column by column: the loops over rows run in C."""
    labels = version.labels
    rows = round_probabilities(outputs)
    class_ids = outputs.argmax(axis=1).tolist()
    columns = (
        ids,
        repeat(version.model_name),
        repeat(version.version),
        latencies,
        repeat(None),
        class_ids,
        map(labels.__getitem__, class_ids),
        map(getitem, rows, class_ids),
        make_labeller(labels)(rows),
    )
    return list(map(Prediction, *columns))


def _regress(version: LoadedVersion, outputs: Matrix, ids: list[str], latencies: list[float]) -> list[Prediction]:
    # The shortest decimal that is the same float32: 4.37 rather than 4.369999885559082.
    return [
        Prediction(request_id, version.model_name, version.version, ms, float(str(value)))
        for request_id, ms, value in zip(ids, latencies, outputs, strict=True)
    ]


def write_plainly(answer: Mapping[str, Any] | BaseModel, prediction: Prediction) -> dict[str, Any]:
    """Return an answer as JSON values, with the warnings where there are any."""
    if isinstance(answer, BaseModel):
        answer = answer.model_dump(mode="json", exclude_none=True)
    return {**answer, "warnings": list(prediction.warnings)} if prediction.warnings else dict(answer)


def doubt_of(prediction: Prediction, threshold: float) -> str:
    """Return the warning of a classification whose confidence is below its service's threshold."""
    sure = f"confidence {prediction.confidence:.2f} is below {threshold:g}"
    return f"{sure}: {prediction.label} is little more than a guess"

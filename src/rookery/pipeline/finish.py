"""`finish`: model outputs turned into the service's own answers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pydantic import BaseModel

from rookery.fields.ranges import range_warnings
from rookery.pipeline.call import Matrix, Pass
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.ids import make_request_ids
from rookery.service.contract import Contract
from rookery.service.prediction import Prediction

PROBABILITY_DECIMALS = 6
"""Probabilities are answered with so many decimals: float32 carries no more that can be relied on."""


class Finish:
    """Build one `Prediction` per row, with its warnings, and let the service's `respond` phrase it."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._respond = contract.respond
        self._threshold = contract.confidence_threshold

    def __call__(self, work: Pass) -> None:
        """Set every call's answers."""
        version, outputs, matrix = work.version, work.outputs, work.matrix
        if version is None or outputs is None or matrix is None:
            raise ValueError("a pass reached finish without outputs")
        predictions = self._classify(version, outputs) if version.labels else self._regress(version, outputs)
        self._warn(version, matrix, predictions)
        now = time.perf_counter()
        for call in work.calls:
            latency_ms = round((now - call.received) * 1e3, 3)
            if call.kind == "single":
                prediction = predictions[call.start]
                prediction.latency_ms = latency_ms
                prediction.request_id = call.request_id
                call.answers = [self._phrase(prediction)]
                continue
            own = predictions[call.start : call.stop]
            for prediction, request_id in zip(own, make_request_ids(len(own)), strict=True):
                prediction.latency_ms = latency_ms
                prediction.request_id = request_id
            call.answers = [self._phrase(prediction) for prediction in own]

    @staticmethod
    def _classify(version: LoadedVersion, outputs: Matrix) -> list[Prediction]:
        labels, model_name, name = version.labels, version.model_name, version.version
        class_ids = outputs.argmax(axis=1).tolist()
        rows = np.round(outputs.astype(np.float64), PROBABILITY_DECIMALS).tolist()
        return [
            Prediction(
                request_id="",
                model_name=model_name,
                version=name,
                class_id=class_id,
                label=labels[class_id],
                confidence=row[class_id],
                probabilities=dict(zip(labels, row, strict=True)),
            )
            for class_id, row in zip(class_ids, rows, strict=True)
        ]

    @staticmethod
    def _regress(version: LoadedVersion, outputs: Matrix) -> list[Prediction]:
        # The shortest decimal that is the same float32: 4.37 rather than 4.369999885559082.
        return [
            Prediction(request_id="", model_name=version.model_name, version=version.version, value=float(str(value)))
            for value in outputs
        ]

    def _warn(self, version: LoadedVersion, matrix: Matrix, predictions: list[Prediction]) -> None:
        warned = range_warnings(self._contract.schema, version.low, version.high, matrix)
        for row, warnings in warned.items():
            predictions[row].warnings.extend(warnings)
        threshold = self._threshold
        if threshold is None:
            return
        for prediction in predictions:
            if prediction.confidence is not None and prediction.confidence < threshold:
                sure = f"confidence {prediction.confidence:.2f} is below {threshold:g}"
                prediction.warnings.append(f"{sure}: {prediction.label} is little more than a guess")

    def _phrase(self, prediction: Prediction) -> dict[str, Any]:
        """Return the service's answer as JSON values, with the warnings where there are any."""
        answer = self._respond(prediction)
        if isinstance(answer, BaseModel):
            answer = answer.model_dump(mode="json", exclude_none=True)
        if prediction.warnings:
            answer = {**answer, "warnings": prediction.warnings}
        return answer  # type: ignore[return-value]

"""`finish` for pictures: outcomes turned into the service's own answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from rookery.pipeline.call import Call, Pass, PictureCall
from rookery.pipeline.endpoint import LoadedVersion
from rookery.pipeline.finish import doubt_of, write_plainly
from rookery.pipeline.ids import make_request_ids
from rookery.pipeline.probabilities import make_labeller, round_probabilities
from rookery.pipeline.unit import Outcome
from rookery.service.contract import Contract
from rookery.service.picture_prediction import PicturePrediction


class FinishPictures:
    """Build one `PicturePrediction` per picture and let the service's `respond` phrase it."""

    def __init__(self, contract: Contract) -> None:
        self._respond = contract.respond
        self._threshold = contract.confidence_threshold

    def __call__(self, work: Pass) -> None:
        """Set every call's answers."""
        if work.version is None:
            raise ValueError("a pass reached finish without a version")
        for call in work.calls:
            outcomes = work.outcomes[call.start : call.stop]
            call.answers = self._finish(call, work.version, outcomes)

    def _finish(self, call: Call, version: LoadedVersion, outcomes: list[Outcome]) -> list[dict[str, Any]]:
        if not isinstance(call, PictureCall) or len(outcomes) != len(call.pictures):
            raise ValueError("a call has other pictures than outcomes")
        ids = [call.request_id] if call.kind == "single" else make_request_ids(len(outcomes))
        latency_ms = round((time.perf_counter() - call.received) * 1e3, 3)
        answers = []
        for request_id, picture, outcome in zip(ids, call.pictures, outcomes, strict=True):
            prediction = PicturePrediction(
                request_id=request_id,
                model_name=version.model_name,
                version=version.version,
                latency_ms=latency_ms,
                picture=picture.facts,
                parameters=call.parameters,
                result={name: msgspec.Raw(value) for name, value in outcome.result.items()},
                cached=outcome.cached,
                run_seconds=outcome.seconds,
                device=version.device,
                **_read_outputs(version, outcome),
            )
            self._warn(prediction)
            answers.append(write_plainly(self._respond(prediction), prediction))
        return answers

    def _warn(self, prediction: PicturePrediction) -> None:
        confidence, threshold = prediction.confidence, self._threshold
        if threshold is not None and confidence is not None and confidence < threshold:
            prediction.warnings = [doubt_of(prediction, threshold)]


def _read_outputs(version: LoadedVersion, outcome: Outcome) -> Mapping[str, Any]:
    """Return what a model's outputs say of one picture; nothing for a function."""
    if outcome.outputs is None:
        return {}
    row = outcome.outputs.reshape(-1)
    if not version.labels:
        return {"value": float(str(row[0]))}
    class_id = int(row.argmax())
    rows = round_probabilities(row[None])
    return {
        "class_id": class_id,
        "label": version.labels[class_id],
        "confidence": rows[0][class_id],
        "probabilities": make_labeller(version.labels)(rows)[0],
    }

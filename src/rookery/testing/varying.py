"""Which fields of an answer are another's the next time, though the input is the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from rookery.service.answers import sample_predictions
from rookery.service.contract import Contract
from rookery.service.picture_prediction import PicturePrediction


def varying_fields(contract: Contract, result: Mapping[str, Any] | None = None) -> set[str]:
    """Return the fields that depend on the request's id, on the time it took or on a cache.

    `result` is what the code of a service returned whose function answers.
    """
    answers = []
    for number in (1, 2):
        (sample, *_) = sample_predictions(contract.task, "m", contract.schema.picture, result)
        changes: dict[str, Any] = {"request_id": f"id-{number}", "latency_ms": float(number)}
        if isinstance(sample, PicturePrediction):
            changes |= {"run_seconds": float(number), "cached": number > 1}
        answers.append(dict(contract.respond(replace(sample, **changes))))
    first, second = answers
    return {name for name in first if first[name] != second.get(name)}


def without(answer: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Return an answer's other fields."""
    return {name: value for name, value in answer.items() if name not in names}

"""Predictions: what a service's `respond` turns into its own answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class Prediction(msgspec.Struct, gc=False):
    """One row's outcome as the model gave it, before it becomes the service's answer.

    A struct, as a server makes one for every row it answers: a plain class takes four times as long to fill.
    """

    request_id: str
    """The server's own UUIDv7."""
    model_name: str
    version: str
    latency_ms: float = 0.0
    """From the complete request to this moment."""
    value: float | None = None
    """The predicted number (regression)."""
    class_id: int | None = None
    """The index of the predicted label (classification)."""
    label: str | None = None
    confidence: float | None = None
    """The predicted label's probability."""
    probabilities: Mapping[str, float] = {}
    """Every label's probability, in the task's order."""
    warnings: Sequence[str] = ()
    """What a reader of the answer should doubt: values outside the training range, low confidence."""


def respond_generically(prediction: Prediction) -> dict[str, Any]:
    """Answer in the task's own shape: what a package without its service's Python says."""
    if prediction.value is not None:
        return {
            "prediction": prediction.value,
            "model": prediction.model_name,
            "version": prediction.version,
            "request_id": prediction.request_id,
        }
    return {
        "prediction": prediction.label,
        "class_id": prediction.class_id,
        "confidence": prediction.confidence,
        "probabilities": prediction.probabilities,
        "model": prediction.model_name,
        "version": prediction.version,
        "request_id": prediction.request_id,
    }

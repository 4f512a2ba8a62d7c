"""Predictions: what a service's `respond` turns into its own answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Prediction:
    """One row's outcome as the model gave it, before it becomes the service's answer."""

    __slots__ = (
        "class_id",
        "confidence",
        "label",
        "latency_ms",
        "model_name",
        "probabilities",
        "request_id",
        "value",
        "version",
        "warnings",
    )

    value: float | None
    """The predicted number (regression)."""
    class_id: int | None
    """The index of the predicted label (classification)."""
    label: str | None
    confidence: float | None
    """The predicted label's probability."""
    probabilities: Mapping[str, float]
    """Every label's probability, in the task's order."""
    warnings: list[str]
    """What a reader of the answer should doubt: values outside the training range, low confidence."""
    request_id: str
    """The server's own UUIDv7."""
    latency_ms: float
    """From the complete request to this moment."""
    model_name: str
    version: str

    def __init__(
        self,
        *,
        request_id: str,
        model_name: str,
        version: str,
        latency_ms: float = 0.0,
        value: float | None = None,
        class_id: int | None = None,
        label: str | None = None,
        confidence: float | None = None,
        probabilities: Mapping[str, float] | None = None,
        warnings: list[str] | None = None,
    ) -> None:
        self.request_id = request_id
        self.model_name = model_name
        self.version = version
        self.latency_ms = latency_ms
        self.value = value
        self.class_id = class_id
        self.label = label
        self.confidence = confidence
        self.probabilities = probabilities if probabilities is not None else {}
        self.warnings = warnings if warnings is not None else []


def respond_generically(prediction: Prediction) -> dict[str, Any]:
    """Answer in the task's own shape: what a package without its service's Python says."""
    if prediction.value is not None:
        answer: dict[str, Any] = {"prediction": prediction.value}
    else:
        answer = {
            "prediction": prediction.label,
            "class_id": prediction.class_id,
            "confidence": prediction.confidence,
            "probabilities": dict(prediction.probabilities),
        }
    answer["model"] = prediction.model_name
    answer["version"] = prediction.version
    answer["request_id"] = prediction.request_id
    return answer

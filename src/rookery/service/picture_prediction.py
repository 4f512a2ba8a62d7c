"""Predictions about pictures: what `respond` is given where the input is a picture."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nlargest
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from rookery.service.prediction import Prediction


class PictureFacts(NamedTuple):
    """What is known of a picture besides its pixels."""

    filename: str | None
    """As the client called it, without folders and control characters; None if it did not."""
    format: str
    """JPEG, PNG, WEBP or TIFF, by content."""
    width: int
    """Pixels, as a person sees the picture."""
    height: int


class RankedLabel(NamedTuple):
    """One label of a ranking."""

    class_id: int
    label: str
    probability: float


class PicturePrediction(Prediction, kw_only=True):
    """One picture's outcome, before it becomes the service's answer."""

    picture: PictureFacts
    parameters: Mapping[str, Any] = {}
    """Every parameter of the request by name, defaults filled in."""
    result: Mapping[str, msgspec.Raw] = {}
    """What a service's function returned, field by field, as JSON to be put into the answer as it is."""
    cached: bool = False
    """Whether the outcome was computed for an earlier request."""
    run_seconds: float = 0.0
    """How long decoding and running took; for a cached outcome, when it was computed."""
    device: str = "cpu"

    def top(self, count: int) -> list[RankedLabel]:
        """Return the `count` most probable labels, the most probable first."""
        ranked = ((p, -i, label) for i, (label, p) in enumerate(self.probabilities.items()))
        return [RankedLabel(-at, label, p) for p, at, label in nlargest(count, ranked, key=itemgetter(0, 1))]


def respond_with_result(prediction: PicturePrediction) -> dict[str, Any]:
    """Answer with what a service's function returned: the answer of one that declares no `respond`."""
    return {
        **prediction.result,
        "model": prediction.model_name,
        "version": prediction.version,
        "request_id": prediction.request_id,
    }

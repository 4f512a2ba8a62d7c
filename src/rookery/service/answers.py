"""Answers: what `respond` and the output model make of predictions, tried before any is served."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from rookery.fields.schema import PictureField
from rookery.service.picture_prediction import PictureFacts, PicturePrediction
from rookery.service.prediction import Prediction
from rookery.service.task import Regression, Task

Respond = Callable[[Any], "Mapping[str, Any] | BaseModel"]
"""Turns a `Prediction`, or a `PicturePrediction` where the input is a picture, into an answer."""


def sample_predictions(
    task: Task | None,
    model_name: str,
    picture: PictureField | None = None,
    result: Mapping[str, Any] | None = None,
) -> list[Prediction]:
    """Return one made-up prediction for each label of a task, or one number of a regression.

    Of a function one with its `result`, whose fields nobody but the function can make up; without it, none.
    """
    facts: dict[str, Any] = {
        "request_id": "00000000-0000-7000-8000-000000000000",
        "model_name": model_name,
        "version": "1",
    }
    kind: type[Prediction] = Prediction
    if picture is not None:
        kind = PicturePrediction
        parameters = picture.parameters
        facts["picture"] = PictureFacts("picture.png", "PNG", 640, 480)
        facts["parameters"] = {} if parameters is None else {c.field: c.default for c in parameters.columns}
    if task is None:
        return [] if result is None else [PicturePrediction(**facts, result=result)]
    if isinstance(task, Regression):
        return [kind(**facts, value=1.0)]
    return [
        kind(
            **facts,
            class_id=index,
            label=label,
            confidence=1.0,
            probabilities={other: float(other == label) for other in task.labels},
        )
        for index, label in enumerate(task.labels)
    ]


def find_answer_fault(respond: Respond, output: type[BaseModel] | None, prediction: Prediction) -> str | None:
    """Return why a prediction cannot be answered, or None: `respond` fails, or its answer is no strict JSON object.

    With an output model, the answer must be one that it allows.
    """
    try:
        answer: Any = respond(prediction)
    except Exception as error:
        return f"respond() raises {type(error).__name__}: {error}"
    if isinstance(answer, BaseModel):
        values = answer.model_dump(mode="json", exclude_none=True)
    elif isinstance(answer, Mapping):
        values = dict(answer)
    else:
        return f"respond() returns {type(answer).__name__}, neither a dict nor a model"
    try:
        text = json.dumps(values, allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"it is no strict JSON: {error}"
    try:
        if output is not None:
            output.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        return f"{output.__name__ if output else ''}.{where}: {first['msg']}"
    return None

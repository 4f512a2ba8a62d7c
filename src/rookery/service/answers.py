"""Answers: what `respond` and the output model make of predictions, tried before any is served."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from rookery.service.prediction import Prediction
from rookery.service.task import Regression, Task

Respond = Callable[[Prediction], "Mapping[str, Any] | BaseModel"]


def sample_predictions(task: Task, model_name: str) -> list[Prediction]:
    """Return one made-up prediction for each label of a task, or one number of a regression."""
    request_id, version = "00000000-0000-7000-8000-000000000000", "1"
    if isinstance(task, Regression):
        return [Prediction(request_id=request_id, model_name=model_name, version=version, value=1.0)]
    return [
        Prediction(
            request_id=request_id,
            model_name=model_name,
            version=version,
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

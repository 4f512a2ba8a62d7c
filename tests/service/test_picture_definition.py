"""`Service` with a picture: one origin for its answers, and nothing that only tables have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from rookery.errors import DefinitionError
from rookery.fields.expression import Rule, col
from rookery.fields.pictures.spec import Image
from rookery.service.dataset import Dataset
from rookery.service.definition import Service
from rookery.service.picture_prediction import PicturePrediction
from rookery.service.policies import Gate
from rookery.service.pretrained import Pretrained
from rookery.service.task import Classification, Regression

WEIGHTS = {
    "net": Pretrained(
        url="https://weights.example/net.onnx", sha256="0" * 64, input="x", output="y", mean=(0, 0, 0), std=(1, 1, 1)
    )
}


class Photograph(BaseModel):
    file: Annotated[bytes, Image(width=8, height=8)]
    top_k: int = Field(2, ge=1, le=2)


class Whole(BaseModel):
    file: Annotated[bytes, Image()]


class Row(BaseModel):
    size: float


def compute(picture: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def respond(prediction: PicturePrediction) -> dict[str, Any]:
    return {"best": prediction.top(prediction.parameters["top_k"])[0].label, "width": prediction.picture.width}


def load() -> Dataset:
    return Dataset(columns={}, target=[])


PRETRAINED: dict[str, Any] = {
    "name": "photos", "input": Photograph, "task": Classification("a", "b"), "respond": respond, "pretrained": WEIGHTS,
}  # fmt: skip
FUNCTION: dict[str, Any] = {"name": "photos", "input": Whole, "function": compute}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "two origins": (PRETRAINED | {"data": load, "candidates": {"x": dict}}, "candidates and pretrained"),
    "a function and weights": (FUNCTION | {"pretrained": WEIGHTS}, "pretrained and function"),
    "weights for a row": (PRETRAINED | {"input": Row}, "pretrained is for services that take a picture"),
    "a function of a row": (FUNCTION | {"input": Row}, "function is for services that take a picture"),
    "400 for a row": (
        {"name": "rows", "input": Row, "task": Regression(), "invalid_status": 400},
        "invalid_status is for services that take a picture",
    ),
    "a function with a task": (FUNCTION | {"task": Classification("a", "b")}, "has a task besides"),
    "a function that is called": (FUNCTION | {"function": {"x": 1}}, "is no function"),
    "a function with a gate": (FUNCTION | {"gate": Gate(accuracy=0.9)}, "a function has no scores"),
    "a function with a metric": (FUNCTION | {"metric": "accuracy"}, "a function has no scores"),
    "libraries without a function": (PRETRAINED | {"libraries": ("numpy",)}, "libraries are those of a function"),
    "a rule over a picture": (PRETRAINED | {"rules": [Rule(col("top_k") > 1, "x")]}, "neither derived features nor"),
    "a derived feature": (PRETRAINED | {"derived": {"x": col("top_k") + 1}}, "neither derived features nor rules"),
    "weights of a regression": (
        PRETRAINED | {"task": Regression(), "respond": lambda p: {}},
        "pretrained weights answer a classification",
    ),
    "weights of any size": (
        PRETRAINED | {"input": Whole, "respond": lambda p: {}},
        "pretrained weights read pictures of one size",
    ),
    "no origin's task": ({"name": "photos", "input": Photograph}, "is no task"),
    "an answer that fails": (PRETRAINED | {"respond": lambda p: {"x": p.parameters["topk"]}}, "respond.. raises Key"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_definition_that_contradicts_itself_is_refused_with_a_cure(what: str) -> None:
    changes, message = WRONG[what]
    with pytest.raises(DefinitionError, match=message) as refused:
        Service(**changes)
    assert refused.value.cure


def test_answers_are_tried_with_a_picture_and_the_parameters_defaults() -> None:
    assert Service(**PRETRAINED).schema.picture is not None


def test_a_function_has_no_metric_and_its_libraries_are_kept() -> None:
    service = Service(**FUNCTION, libraries=["numpy"])
    assert (service.metric, service.libraries, service.task) == ("", ("numpy",), None)
    with pytest.raises(DefinitionError, match="a function has no task"):
        service.require_task()


def test_a_ranking_puts_equal_labels_in_their_order() -> None:
    prediction = PicturePrediction(
        request_id="r", model_name="m", version="1", probabilities={"a": 0.2, "b": 0.4, "c": 0.4},
        picture=("x", "PNG", 1, 1),  # type: ignore[arg-type]
    )  # fmt: skip
    assert [ranked.label for ranked in prediction.top(2)] == ["b", "c"]
    assert prediction.top(9)[-1].class_id == 0

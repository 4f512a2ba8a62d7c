"""Contracts and generic answers."""

from __future__ import annotations

import json

from pydantic import BaseModel

from rookery.fields.expression import Rule, col
from rookery.service.answers import find_answer_fault, sample_predictions
from rookery.service.contract import contract_of
from rookery.service.definition import Service
from rookery.service.prediction import Prediction, respond_generically
from rookery.service.task import Classification, Regression


class Point(BaseModel):
    x: float


def test_a_contract_says_what_its_service_says() -> None:
    rule = Rule(col("x") > 0, "x must be positive")
    service = Service(
        name="points",
        input=Point,
        task=Classification("in", "out"),
        rules=[rule],
        confidence_threshold=0.6,
        paths=["/a"],
    )
    contract = contract_of(service)
    assert (contract.name, contract.kind, contract.title) == ("points", "service", "points")
    assert contract.schema is service.schema
    assert contract.rules == (rule,)
    assert contract.paths == ("/a",)
    assert contract.confidence_threshold == 0.6
    assert contract_of(Service(name="points", input=Point, task=Regression(), title="Points")).title == "Points"


def test_the_generic_answer_of_a_classification() -> None:
    prediction = Prediction(
        request_id="r",
        model_name="m",
        version="3",
        class_id=1,
        label="b",
        confidence=0.75,
        probabilities={"a": 0.25, "b": 0.75},
    )
    assert respond_generically(prediction) == {
        "prediction": "b",
        "class_id": 1,
        "confidence": 0.75,
        "probabilities": {"a": 0.25, "b": 0.75},
        "model": "m",
        "version": "3",
        "request_id": "r",
    }


def test_the_generic_answer_of_a_regression_is_a_number_even_when_it_is_zero() -> None:
    prediction = Prediction(request_id="r", model_name="m", version="3", value=0.0)
    assert respond_generically(prediction) == {"prediction": 0.0, "model": "m", "version": "3", "request_id": "r"}


def test_a_prediction_starts_without_warnings_of_its_neighbours() -> None:
    first, second = (Prediction(request_id="r", model_name="m", version="1") for _ in range(2))
    first.warnings = ["doubtful"]
    assert list(second.warnings) == []
    assert dict(second.probabilities) == {}


def test_samples_cover_every_label_with_certainty() -> None:
    samples = sample_predictions(Classification("a", "b", "c"), "m")
    assert [(s.label, s.class_id, s.confidence) for s in samples] == [("a", 0, 1.0), ("b", 1, 1.0), ("c", 2, 1.0)]
    assert samples[1].probabilities == {"a": 0.0, "b": 1.0, "c": 0.0}
    (number,) = sample_predictions(Regression(), "m")
    assert number.value == 1.0
    for sample in (*samples, number):
        assert find_answer_fault(respond_generically, None, sample) is None
        json.dumps(respond_generically(sample), allow_nan=False)

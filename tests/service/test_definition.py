"""`Service`: definitions that contradict themselves fail when they are made, with the cure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from rookery.errors import DefinitionError
from rookery.fields.expression import Rule, col
from rookery.service.dataset import Dataset
from rookery.service.definition import COMMON_PATHS, Service
from rookery.service.policies import Gate
from rookery.service.prediction import Prediction
from rookery.service.task import Classification, Regression


class House(BaseModel):
    rooms: float = Field(ge=1, le=20)
    bedrooms: float = Field(ge=0, le=20)
    view: list[float] = Field(min_length=2, max_length=2)


class Verdict(BaseModel):
    verdict: Literal["cheap", "dear"]


def judge(prediction: Prediction) -> dict[str, Any]:
    return {"verdict": prediction.label}


def load() -> Dataset:
    return Dataset(columns={}, target=[])


GOOD: dict[str, Any] = {
    "name": "houses",
    "input": House,
    "task": Classification("cheap", "dear"),
    "output": Verdict,
    "respond": judge,
    "data": load,
    "candidates": {"forest": dict},
    "derived": {"share": col("bedrooms") / col("rooms"), "twice": col("share") * 2},
    "rules": [Rule(col("bedrooms") <= col("rooms"), "more bedrooms than rooms", fields=("bedrooms",))],
}


class Estimator:
    def fit(self) -> None: ...


REGRESSION: dict[str, Any] = {"task": Regression(), "output": None, "respond": lambda p: {"value": p.value}}

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "upper-case name": ({"name": "Houses"}, "'Houses' cannot be a URL's part", "lower-case"),
    "name with a slash": ({"name": "a/b"}, "cannot be a URL's part", "lower-case"),
    "no name": ({"name": ""}, "cannot be a URL's part", "lower-case"),
    "name that is no text": ({"name": 3}, "cannot be a URL's part", "lower-case"),
    "name of a common path": ({"name": "metrics"}, "path of the server's own", "another name"),
    "input that is no model": ({"input": dict}, "houses: ", "pydantic.BaseModel"),
    "task that is none": ({"task": "classification"}, "is no task", "Classification("),
    "unknown metric": ({"metric": "acuracy"}, "'acuracy' is no metric of a classification", "accuracy"),
    "metric of the other task": ({"metric": "rmse"}, "'rmse' is no metric of a classification", "f1_macro"),
    "gate of the other task": ({"gate": Gate(r2=0.9)}, "'r2' is no metric of a classification", "f1_macro"),
    "classification gate of a regression": ({**REGRESSION, "gate": Gate(accuracy=0.9)}, "of a regression", "rmse"),
    "threshold of a regression": ({**REGRESSION, "confidence_threshold": 0.5}, "no confidence", "Drop"),
    "threshold of nought": ({"confidence_threshold": 0.0}, "no probability", "between 0 and 1"),
    "threshold in percent": ({"confidence_threshold": 60}, "no probability", "between 0 and 1"),
    "no test rows": ({"test_share": 0.0}, "leaves no rows", "0.1 to 0.5"),
    "all test rows": ({"test_share": 1.0}, "leaves no rows", "0.1 to 0.5"),
    "negative seed": ({"seed": -1}, "no seed", "whole number"),
    "one fold": ({"cross_validation": 1}, "compares nothing", "2 or more"),
    "no repeats": ({"cross_validation_repeats": 0}, "below 1", "1 or more"),
    "data without candidates": ({"candidates": {}}, "data and no candidates", "Add candidates"),
    "candidates without data": ({"data": None}, "candidates and no data", "Add data"),
    "data that is called": ({"data": load()}, "data is no function", "data=load_rows"),
    "candidate that is made": ({"candidates": {"a": Estimator()}}, "candidate 'a' is no function", "lambda"),
    "candidate that is text": ({"candidates": {"a": "forest"}}, "candidate 'a' is no function", "lambda"),
    "candidate of no name": ({"candidates": {"": dict}}, "no plain word", "letters"),
    "candidate with a slash": ({"candidates": {"a/b": dict}}, "no plain word", "letters"),
    "derived from a misspelt column": ({"derived": {"x": col("romms") + 1}}, "reads 'romms'", "Did you mean 'rooms'?"),
    "derived from an unknown column": ({"derived": {"x": col("price") + 1}}, "reads 'price'", "Choose from bedrooms"),
    "derived from a later one": (
        {"derived": {"x": col("zeta") + 1, "zeta": col("rooms") + 1}},
        "reads 'zeta', which is no column",
        "Choose from",
    ),
    "derived from itself": ({"derived": {"zeta": col("zeta") + 1}}, "reads 'zeta'", "Choose from"),
    "derived with a column's name": ({"derived": {"rooms": col("rooms") + 1}}, "name of a column", "of its own"),
    "derived with a vector's name": ({"derived": {"view": col("rooms") + 1}}, "name of a column", "of its own"),
    "derived that is a function": ({"derived": {"x": lambda row: row}}, "not an expression", "col("),
    "derived constant": ({"derived": {"x": (col("rooms") + 1).operands[1]}}, "reads no column", "drop it"),
    "rule over an unknown column": (
        {"rules": [Rule(col("bedroom") > 0, "none")]},
        "rule 'none' reads 'bedroom'",
        "Did you mean 'bedrooms'?",
    ),
    "rule over a vector as a whole": ({"rules": [Rule(col("view") > 0, "none")]}, "reads 'view'", "Did you mean"),
    "rule over a derived feature": ({"rules": [Rule(col("share") > 0, "none")]}, "reads 'share'", "Choose from"),
    "rule that blames no field": (
        {"rules": [Rule(col("rooms") > 0, "none", fields=("garage",))]},
        "blames 'garage', which is no field",
        "Name input fields",
    ),
    "rule that is a bare condition": ({"rules": [col("rooms") > 0]}, "is no rule", "Rule(col("),
    "path without slash": ({"paths": ["predict"]}, "no plain URL path", "'/predict'"),
    "path with a parameter": ({"paths": ["/predict/{id}"]}, "no plain URL path", "'/predict'"),
    "path twice": ({"paths": ["/a", "/a"]}, "declared twice", "once"),
    "no path": ({"paths": []}, "no path to answer at", "'/predict'"),
    "common path": ({"paths": ["/health"]}, "meaning in every service", "another"),
    "batch path": ({"paths": ["/predict/batch"]}, "meaning in every service", "another"),
    "unknown part of the model's name": (
        {"model_name": "{team}-x"},
        "cannot be filled in",
        "{service} and {candidate}",
    ),
    "broken model name": ({"model_name": "{service"}, "cannot be filled in", "{service} and {candidate}"),
    "output that is no model": ({"output": dict}, "no pydantic model", "pydantic.BaseModel"),
    "label that the output cannot hold": (
        {"task": Classification("cheap", "dear", "priceless")},
        "the prediction 'priceless' fails: Verdict.verdict: Input should be 'cheap' or 'dear'",
        "for every label",
    ),
    "answer without a field of the output": ({"respond": lambda p: {}}, "Verdict.verdict: Field required", "allows"),
    "respond that raises": ({"respond": lambda p: {"verdict": p.value + 1}}, "respond() raises TypeError", "allows"),
    "respond that returns text": ({"respond": lambda p: "cheap"}, "returns str", "allows"),
    "answer that is no JSON": ({"output": None, "respond": lambda p: {"x": object()}}, "no strict JSON", "JSON values"),
    "answer with NaN": ({"output": None, "respond": lambda p: {"x": float("nan")}}, "no strict JSON", "JSON values"),
}


def test_a_sound_definition_stands() -> None:
    service = Service(**GOOD)
    assert [column.name for column in service.schema.columns] == ["rooms", "bedrooms", "view[0]", "view[1]"]
    assert service.metric == "f1_macro"
    assert service.paths == ("/predict",)


@pytest.mark.parametrize("what", WRONG)
def test_a_contradiction_fails_at_definition_time_with_the_cure(what: str) -> None:
    changes, message, cure = WRONG[what]
    with pytest.raises(DefinitionError) as caught:
        Service(**{**GOOD, **changes})
    assert message in caught.value.message
    assert cure in caught.value.cure


def test_a_fault_of_the_input_model_names_service_model_field_and_cure() -> None:
    class Wordy(BaseModel):
        street: str

    with pytest.raises(DefinitionError, match=r"^houses: Wordy\.street: str cannot become a column.*Literal"):
        Service(name="houses", input=Wordy, task=Regression())


def test_metrics_default_to_the_tasks_own() -> None:
    assert Service(name="a", input=House, task=Regression()).metric == "rmse"
    assert Service(name="a", input=House, task=Classification("x", "y"), metric="log_loss").metric == "log_loss"


def test_answers_may_be_instances_of_the_output() -> None:
    service = Service(**{**GOOD, "respond": lambda p: Verdict(verdict=p.label)})
    assert service.output is Verdict


def test_the_generic_answer_is_sound_for_both_tasks() -> None:
    Service(name="a", input=House, task=Regression())
    Service(name="a", input=House, task=Classification("x", "y"))


def test_one_path_may_be_given_as_a_text() -> None:
    service = Service(**{**GOOD, "paths": "/api/v1/judge"})
    assert service.paths == ("/api/v1/judge",)
    assert "/predict" not in COMMON_PATHS


def test_a_definition_is_frozen_down_to_its_own_copies() -> None:
    candidates = {"forest": dict}
    service = Service(**{**GOOD, "candidates": candidates})
    candidates.clear()
    assert list(service.candidates) == ["forest"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        service.name = "other"  # type: ignore[misc]


def test_a_changed_copy_is_checked_again() -> None:
    service = Service(**GOOD)
    assert dataclasses.replace(service, seed=7).seed == 7
    with pytest.raises(DefinitionError):
        dataclasses.replace(service, seed=-7)


def test_the_models_name_is_filled_in() -> None:
    service = Service(**{**GOOD, "model_name": "demo-{service}-{candidate}"})
    assert service.resolve_model_name("LR") == "demo-houses-LR"


def test_respond_may_return_any_mapping() -> None:
    class Answer(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return {"verdict": "dear"}[key]

        def __iter__(self) -> Any:
            return iter(["verdict"])

        def __len__(self) -> int:
            return 1

    Service(**{**GOOD, "respond": lambda prediction: Answer()})

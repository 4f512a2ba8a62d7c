"""A package alone keeps its columns, rules, limits and its task's generic shape."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from pydantic import ValidationError

from rookery.errors import PackageError
from rookery.fields.encoder import Encoder
from rookery.fields.rules import broken_rules
from rookery.package.contract import GenericClass, GenericValue, contract_from_manifest
from rookery.package.manifest import InputSpec, parse_manifest
from rookery.service.policies import Limits
from rookery.service.prediction import Prediction
from rookery.service.task import Classification
from tests.package.builders import COLUMNS, function_manifest, make_inputs, make_manifest, regression_manifest

SHARED: dict[str, Any] = {"request_id": "id", "model_name": "penguins-linear", "version": "3"}


def test_everything_comes_from_the_manifest_that_was_read() -> None:
    manifest = parse_manifest(make_manifest(limits=Limits(rows=5), description="Which penguin?").to_json())
    contract = contract_from_manifest(manifest)
    assert (contract.name, contract.kind, contract.title) == ("penguins", "generic", "Penguins")
    assert (contract.description, contract.definition_version) == ("Which penguin?", "1.0.0")
    assert contract.task == Classification("Adelie", "Chinstrap", "Gentoo")
    assert contract.schema.columns == COLUMNS
    assert (contract.confidence_threshold, contract.limits.rows, contract.paths) == (0.5, 5, ("/predict",))


def test_the_rebuilt_input_model_is_as_strict_as_the_services() -> None:
    model = contract_from_manifest(make_manifest()).schema.model
    (good,) = make_inputs(1)
    model.model_validate_json(json.dumps(good))
    for change in ({"mass_g": 3.75}, {"island": "Atlantis"}, {"year": "2007"}, {"surprise": 1}, {"wild": 1}):
        with pytest.raises(ValidationError):
            model.model_validate_json(json.dumps(good | change))


def test_the_rules_are_enforced() -> None:
    contract = contract_from_manifest(parse_manifest(make_manifest().to_json()))
    rows = [{**row, "mass_g": mass} for row, mass in zip(make_inputs(2), (1200.0, 4000.0), strict=True)]
    matrix = Encoder(contract.schema).encode_rows([contract.schema.model.model_validate(row) for row in rows])
    ((row, rule),) = broken_rules(contract.rules, contract.schema, matrix)
    assert (row, rule.message) == (0, "a penguin weighs more")


def test_generic_answers_fit_the_model_that_documents_them() -> None:
    probabilities = {"Adelie": 0.9, "Chinstrap": 0.06, "Gentoo": 0.04}
    label = Prediction(class_id=0, label="Adelie", confidence=0.9, probabilities=probabilities, **SHARED)
    contract = contract_from_manifest(make_manifest())
    assert contract.output is GenericClass
    assert GenericClass.model_validate(contract.respond(label)).probabilities == probabilities
    contract = contract_from_manifest(regression_manifest())
    assert contract.output is GenericValue
    assert GenericValue.model_validate(contract.respond(Prediction(value=4.5, **SHARED))).prediction == 4.5


def test_a_missing_title_is_the_services_name() -> None:
    assert contract_from_manifest(make_manifest(title="")).title == "penguins"


def test_a_function_has_no_contract_without_its_own_code() -> None:
    manifest = function_manifest()
    with pytest.raises(PackageError, match="has no task"):
        contract_from_manifest(manifest)


@pytest.mark.parametrize(
    "change", [{"kind": "category", "categories": ()}, {"field": "_private"}, {"field": "__class__"}]
)
def test_columns_that_make_no_input_model_are_refused(change: dict[str, Any]) -> None:
    column = dataclasses.replace(COLUMNS[0], **change)
    manifest = make_manifest(input=InputSpec(json_schema={}, columns=(column, *COLUMNS[1:]), rules=()))
    with pytest.raises(PackageError, match=r"manifest\.json: input: "):
        contract_from_manifest(manifest)

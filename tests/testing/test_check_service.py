"""`check_service`: a sound service passes, and each promise can be broken so that it says so."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rookery.errors import DefinitionError, PackageError
from rookery.service.definition import Service
from rookery.service.prediction import Prediction
from rookery.testing.check import check_service
from rookery.testing.imports import training_libraries_of_a_server
from rookery.testing.promises import PROMISES
from tests.http.corpus import PENGUIN


def test_the_penguins_keep_every_promise(penguins_package: Path, penguins_service: Service) -> None:
    """A real service passes, and the report lists every promise as a sentence."""
    report = check_service(penguins_service, penguins_package)
    assert report.service == "penguins"
    assert len(report.promises) == len(PROMISES)
    assert all(sentence.endswith(".") for sentence in report.promises)
    assert report.inputs > 20


def test_a_service_is_trained_where_no_package_is_given(penguins_service: Service) -> None:
    """Without a package the service is trained first, in a folder that is gone afterwards."""
    assert check_service(penguins_service).service == "penguins"


class Narrow(BaseModel):
    species: str


def test_an_answer_with_more_than_its_model_is_noticed(penguins_package: Path, penguins_service: Service) -> None:
    """A field that the output model does not show breaks the promise of the output model."""

    def talkative(prediction: Prediction) -> dict[str, Any]:
        return {"species": prediction.label, "internal": 1}

    with pytest.raises(AssertionError, match="'internal', which Narrow does not show"):
        check_service(replace(penguins_service, output=Narrow, respond=talkative), penguins_package)


def test_an_answer_that_depends_on_chance_is_noticed(penguins_package: Path, penguins_service: Service) -> None:
    """A batch that answers otherwise than single requests breaks the promise of equality."""
    counter = itertools.count()

    def fickle(prediction: Prediction) -> Mapping[str, Any]:
        count = next(counter) if prediction.request_id.startswith("0") else 0
        return {"species": prediction.label, "count": count}

    with pytest.raises(AssertionError, match="batches answer as singles"):
        check_service(replace(penguins_service, output=None, respond=fickle), penguins_package)


def test_a_respond_that_fails_in_service_is_noticed(penguins_package: Path, penguins_service: Service) -> None:
    """A `respond` that raises for some real predictions is a 500, and the good inputs that got it are shown."""

    def brittle(prediction: Prediction) -> Mapping[str, Any]:
        if prediction.latency_ms > 0:
            raise ValueError("only in service")
        return {"species": prediction.label}

    with pytest.raises(AssertionError, match=r"good input 0 .* got 500"):
        check_service(replace(penguins_service, output=None, respond=brittle), penguins_package)


def test_a_service_with_nothing_to_train_is_refused(penguins_service: Service) -> None:
    """Without data and without a package there is nothing to check, and the error says what to do."""
    with pytest.raises(DefinitionError, match="Hand in a package"):
        check_service(replace(penguins_service, data=None, candidates={}))


def test_a_damaged_package_is_refused(package_copy: Path, penguins_service: Service) -> None:
    """A package that does not open is no broken promise of the service but an error of its own."""
    (package_copy / "profile.json").unlink()
    with pytest.raises(PackageError, match=r"profile\.json"):
        check_service(penguins_service, package_copy)


def test_a_serving_process_loads_no_training_library(penguins_package: Path) -> None:
    """A fresh process that answers by a package holds none of the training libraries."""
    assert training_libraries_of_a_server(penguins_package, PENGUIN) == []


def test_a_process_that_cannot_serve_is_told(package_copy: Path) -> None:
    """If the fresh process fails, the error holds what it printed, and nothing passes for light."""
    (package_copy / "golden.jsonl").unlink()
    with pytest.raises(AssertionError, match=r"golden\.jsonl"):
        training_libraries_of_a_server(package_copy, PENGUIN)

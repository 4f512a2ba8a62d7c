"""The API's description is complete: every route, every status, schemas that resolve, examples that work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI

from rookery.settings import Settings
from tests.serving.conftest import Client, Workshop, serving, strict_json


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    found = strict_json(response.text)
    assert isinstance(found, dict)
    return found


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    return set().union(*(references(value) for value in node)) if isinstance(node, list) else set()


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    found = references(document)
    assert len(found) > 8
    for reference in found:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert isinstance(place, dict)


def test_the_description_is_valid_openapi(document: dict[str, Any]) -> None:
    """FastAPI's own model of the format reads it, and finds in it all that we wrote."""
    read = OpenAPI.model_validate(document)
    assert read.paths is not None
    assert set(read.paths) == set(document["paths"])
    assert json.loads(read.model_dump_json(by_alias=True, exclude_unset=True)) == document


def test_every_documented_path_answers(client: Client, document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            status = str(client.ask(method.upper(), path).status_code)
            assert status in operation["responses"], f"{method} {path}"


def test_operations_have_ids_summaries_and_access(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z_A-Z0-9.-]+", name) for name in ids)
    assert all(operation["summary"] and operation["x-access"] for operation in operations)


def test_the_example_of_the_input_is_answered_as_described(client: Client, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Input"]["properties"]["mass_g"]["minimum"] == 1000
    assert schemas["Input"]["properties"]["island"]["enum"] == ["Biscoe", "Dream", "Torgersen"]
    assert schemas["Input"]["additionalProperties"] is False
    (example,) = schemas["Input"]["examples"]
    answer = client.predict(example)
    assert answer.status_code == 200
    described = schemas["Answer"]
    assert set(described["required"]) <= set(answer.json()) <= set(described["properties"])
    assert described["properties"]["warnings"]["type"] == "array"


def test_prediction_documents_every_status_it_can_have(document: dict[str, Any]) -> None:
    expected = {"200", "400", "408", "413", "415", "422", "500", "503", "504"}
    for path in ("/predict", "/predict/batch"):
        assert set(document["paths"][path]["post"]["responses"]) == expected


def test_units_reach_the_description(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Input"]["properties"]["mass_g"]["unit"] == "g"


def test_a_services_own_answer_is_described(workshop: Workshop) -> None:
    for name in ("north", "south"):
        workshop.write_service(name)
        workshop.set_traffic(name, {"1": workshop.add_package(name)})
    client, _ = serving(workshop.settings)
    whole, south = client.get("/openapi.json").json(), client.get("/south/openapi.json").json()
    assert "species" in whole["components"]["schemas"]["north.Answer"]["properties"]
    assert "species" in south["components"]["schemas"]["Answer"]["properties"]
    assert {"/north/predict", "/south/predict", "/health", "/"} <= set(whole["paths"])
    assert all(path.startswith("/south/") for path in south["paths"])
    assert whole["paths"]["/north/predict"]["post"]["tags"] == ["north"]
    for found in (whole, south):
        names = {reference.rpartition("/")[2] for reference in references(found)}
        assert names <= set(found["components"]["schemas"])


def test_the_description_names_the_place_it_is_asked_at(penguin_package: Path) -> None:
    client, _ = serving(Settings(package=penguin_package, root_path="/a"))
    first = client.get("/openapi.json")
    assert client.get("/openapi.json").content == first.content
    assert first.json()["servers"] == [{"url": "/a"}]

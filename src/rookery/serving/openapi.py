"""The OpenAPI 3.1 description of what a worker serves, made from the route table and the services' contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from pydantic import BaseModel

from rookery.fields.columns import Column
from rookery.fields.pictures.schema import describe_picture_input
from rookery.package.contract import GenericClass, GenericValue
from rookery.service.contract import Contract
from rookery.service.prediction import respond_generically
from rookery.service.task import Classification
from rookery.serving.mount import Mount
from rookery.serving.routing import RouteSpec

Schema = dict[str, Any]

REF = "#/components/schemas/"

STATUS_TEXTS: Mapping[int, str] = {
    400: "The request is not readable, or names a host that is not served",
    408: "The request's body did not arrive in time",
    413: "The body has more bytes or rows than the limits allow",
    415: "The content type or encoding is not read here",
    422: "The input breaks its schema or a rule",
    500: "The model failed on a valid input",
    503: "No model is loaded, or there is more work than can be done in time",
    504: "The answer would come later than the service promises",
}

COMMON_SCHEMAS: Mapping[str, Schema] = {
    "Error": {
        "type": "object",
        "required": ["detail"],
        "properties": {"detail": {"type": "string", "description": "What is wrong, and what cures it"}},
    },
    "InvalidInput": {
        "type": "object",
        "required": ["detail"],
        "properties": {"detail": {"type": "array", "items": {"$ref": REF + "Problem"}}},
    },
    "Problem": {
        "type": "object",
        "required": ["type", "loc", "msg"],
        "properties": {
            "type": {"type": "string"},
            "loc": {"type": "array", "items": {"type": ["string", "integer"]}, "description": "Where the fault lies"},
            "msg": {"type": "string"},
            "input": {"description": "What was sent there, shortened"},
        },
    },
}

HEADERS: Schema = {
    "X-Request-ID": {
        "description": "The client's own id if it sent a sane one, else ours",
        "schema": {"type": "string"},
    },
    "X-Model-Version": {"description": "The version that answered", "schema": {"type": "string"}},
}


def describe_api(
    routes: Sequence[RouteSpec], mounts: Sequence[Mount], *, title: str, description: str, version: str, server: str
) -> Schema:
    """Return the description of `routes`, whose predictions belong to `mounts`.

    Paths are relative to `server`. With several mounts each one's schemas carry its service's name.
    """
    schemas: dict[str, Schema] = dict(COMMON_SCHEMAS)
    structs = [route.success for route in routes if isinstance(route.success, type) and route.summary]
    _, components = msgspec.json.schema_components(structs, ref_template=REF + "{name}")
    schemas |= components
    paths: dict[str, Schema] = {}
    for mount in mounts:
        schemas |= describe_contract(mount, label=_label(mount, mounts))
    for route in routes:
        if route.summary:
            owner = next((mount for mount in mounts if _belongs(route, mount)), None)
            paths.setdefault(route.path, {})[route.method.lower()] = _describe_route(route, owner, mounts)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "description": description, "version": version},
        "servers": [{"url": server or "/"}],
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _belongs(route: RouteSpec, mount: Mount) -> bool:
    return route.path.startswith(mount.prefix + "/")


def _label(mount: Mount, mounts: Sequence[Mount]) -> str:
    return f"{mount.name}." if len(mounts) > 1 else ""


def _describe_route(route: RouteSpec, owner: Mount | None, mounts: Sequence[Mount]) -> Schema:
    operation: Schema = {
        "operationId": f"{route.method.lower()}{route.path.replace('/', '_').rstrip('_') or '_root'}",
        "summary": route.summary,
        "tags": [route.tag if owner is None or len(mounts) == 1 else owner.name],
        "x-access": route.access,
        "responses": {str(status): _describe_error(status) for status in route.errors},
    }
    if route.body is None or owner is None:
        success = _refer(route.success.__name__) if isinstance(route.success, type) else {"type": "string"}
        media = route.success if isinstance(route.success, str) else "application/json"
        if route.path.endswith(("/health", "/readyz")):
            operation["responses"]["503"] = _respond("Not now; the body says why", media, success)
    else:
        label, media = _label(owner, mounts), "application/json"
        batch = "Batch" if route.body == "batch" else ""
        success = _refer(f"{label}Answer{batch}")
        body_schema = _refer(f"{label}Input{batch}")
        content = {"application/json": {"schema": body_schema}}
        if owner.takes_pictures:
            content = {"multipart/form-data": {"schema": body_schema}}
            operation["parameters"] = _describe_parameters(owner)
            if not batch:
                content["image/*"] = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"]["200"] = _respond("The answer", media, success)
    operation["responses"] = dict(sorted(operation["responses"].items()))
    return operation


def _describe_parameters(mount: Mount) -> list[Schema]:
    """Return the parameters beside a picture, as they may stand in the query string."""
    picture = mount.contract.schema.picture
    parameters = None if picture is None else picture.parameters
    properties = {} if parameters is None else parameters.json_schema().get("properties", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": schema.get("description", "")}
        for name, schema in properties.items()
    ]


def _refer(name: str) -> Schema:
    return {"$ref": REF + name}


def _respond(description: str, media: str, schema: Schema) -> Schema:
    return {"description": description, "headers": HEADERS, "content": {media: {"schema": schema}}}


def _describe_error(status: int) -> Schema:
    return _respond(STATUS_TEXTS[status], "application/json", _refer("InvalidInput" if status == 422 else "Error"))


def describe_contract(mount: Mount, *, label: str) -> dict[str, Schema]:
    """Return the schemas of a service's input, answer and their batches, by name."""
    contract = mount.contract
    schemas: dict[str, Schema] = {}
    if contract.schema.picture is not None:
        row = describe_picture_input(contract.schema)
    else:
        row = _read_model(contract.schema.model, "validation", label, schemas)
        example = example_input(mount)
        if example is not None:
            row["examples"] = [example]
    output = contract.output or _generic_output(contract)
    answer: Schema = {"type": "object"} if output is None else _read_model(output, "serialization", label, schemas)
    answer.setdefault("properties", {})["warnings"] = {
        "type": "array",
        "items": {"type": "string"},
        "description": "What to doubt in this answer; absent when there is nothing",
    }
    rows: Schema = {"type": "array", "items": _refer(f"{label}Input"), "maxItems": contract.limits.rows}
    batch: Schema = {"type": "object", "required": ["rows"], "properties": {"rows": rows}}
    if contract.schema.picture is not None:
        name = contract.schema.picture.name
        files = {"type": "array", "items": row["properties"][name], "minItems": 1, "maxItems": contract.limits.rows}
        batch = {**row, "properties": {**row["properties"], name: files}}
    answers: Schema = {"type": "array", "items": _refer(f"{label}Answer")}
    return schemas | {
        f"{label}Input": row,
        f"{label}Answer": answer,
        f"{label}InputBatch": batch,
        f"{label}AnswerBatch": {"type": "object", "required": ["predictions"], "properties": {"predictions": answers}},
    }


def _read_model(model: type[BaseModel], mode: Any, label: str, schemas: dict[str, Schema]) -> Schema:
    """Return a pydantic model's schema; what it refers to is added to `schemas`."""
    schema = model.model_json_schema(mode=mode, ref_template=f"{REF}{label}{{model}}")
    for name, part in schema.pop("$defs", {}).items():
        schemas[f"{label}{name}"] = part
    return schema


def _generic_output(contract: Contract) -> type[BaseModel] | None:
    """Return the model of the task's generic answer, if that is what the service answers."""
    if contract.respond is not respond_generically:
        return None
    return GenericClass if isinstance(contract.task, Classification) else GenericValue


def example_input(mount: Mount) -> dict[str, Any] | None:
    """Return an input to try: the fields' own examples, else a golden case; None while neither is known."""
    example: dict[str, Any] = {}
    for name, parts in groupby(mount.contract.schema.columns, key=lambda column: column.field):
        value = _example_of(list(parts))
        if value is None:
            champion = mount.endpoint.champion
            return None if champion is None else dict(champion.package.golden[0].input)
        example[name] = value
    return example


def _example_of(columns: list[Column]) -> Any:
    values = [column.example if column.example is not None else column.default for column in columns]
    if columns[0].element is None:
        return values[0]
    return None if None in values else values

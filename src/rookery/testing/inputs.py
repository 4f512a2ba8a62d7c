"""Inputs for a service's columns: a good one, and every bad one that must be refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rookery.fields.columns import Column
from rookery.fields.schema import InputSchema

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadInput:
    """A request body that must be refused."""

    what: str
    body: bytes
    field: str | None = None
    """The field that the refusal must name; None: the body as a whole is at fault."""
    statuses: tuple[int, ...] = (422,)


def example_row(schema: InputSchema) -> Row | None:
    """Return the input that the fields' own examples make; None when a required field has none."""
    row: Row = {}
    for column in schema.columns:
        value = column.example
        if value is None:
            if column.required and not column.optional:
                return None
            value = column.default
        if column.element is None:
            row[column.field] = value
        else:
            row.setdefault(column.field, []).append(value)
    return row


def bad_rows(schema: InputSchema, good: Mapping[str, Any]) -> Iterator[BadInput]:
    """Yield inputs that differ from a good one in a single thing that is wrong."""
    for column in schema.columns:
        if column.element in (None, 0):
            yield from _bad_fields(column, good)
        yield from (_bad(column, good, what, value) for what, value in _bad_values(column))
    name = schema.columns[0].field
    unknown = {**good, f"{name}_": 1}
    yield BadInput(what="an unknown field", body=_encode(unknown), field=f"{name}_")


def bad_bodies(schema: InputSchema, good: Mapping[str, Any]) -> Iterator[BadInput]:
    """Yield bodies that are no JSON of the right form at all."""
    text = json.dumps(good)
    malformed = (400, 422)
    yield BadInput(what="an empty body", body=b"", statuses=malformed)
    yield BadInput(what="half a body", body=text.encode()[:-1], statuses=malformed)
    yield BadInput(what="invalid UTF-8", body=b'{"\xff\xfe": 1}', statuses=malformed)
    yield BadInput(what="a list", body=b"[]")
    yield BadInput(what="a text", body=b'"text"')
    yield BadInput(what="null", body=b"null")
    yield BadInput(what="10,000 nested lists", body=b"[" * 10_000, statuses=malformed)
    number = next((column for column in schema.columns if column.kind == "number"), None)
    if number is not None:
        for literal in ("NaN", "Infinity", "-Infinity", "1e999"):
            body = json.dumps(_replace(number, good, "@")).replace('"@"', literal).encode()
            yield BadInput(what=f"{number.name}={literal}", body=body, statuses=malformed)


def outlying_rows(
    schema: InputSchema, good: Mapping[str, Any], low: Mapping[str, float], high: Mapping[str, float]
) -> Iterator[tuple[str, Row]]:
    """Yield inputs with one allowed number outside the training data's range, and that column's name."""
    for column in schema.columns:
        if column.kind != "number" or column.name not in high:
            continue
        span = abs(high[column.name] - low[column.name]) or 1.0
        for value in (high[column.name] + span / 100, low[column.name] - span / 100):
            if column.allows(value):
                yield column.name, _replace(column, good, value)
                break


def _bad_fields(column: Column, good: Mapping[str, Any]) -> Iterator[BadInput]:
    """Yield faults of a field as a whole."""
    rest = {name: value for name, value in good.items() if name != column.field}
    if column.required:
        yield BadInput(what=f"{column.field} missing", body=_encode(rest), field=column.field)
    if column.element is not None:
        longer = {**rest, column.field: [*good[column.field], good[column.field][0]]}
        yield BadInput(what=f"{column.field} too long", body=_encode(longer), field=column.field)
        shorter = {**rest, column.field: good[column.field][:-1]}
        yield BadInput(what=f"{column.field} too short", body=_encode(shorter), field=column.field)


def _bad_values(column: Column) -> Iterator[tuple[str, Any]]:
    """Yield values that a column must refuse."""
    yield "an object", {}
    if not column.optional:
        yield "null", None
    if column.kind == "category":
        yield "an unknown category", "no such category"
    elif column.kind == "boolean":
        yield "a text for a truth", "true"
    else:
        yield "a text for a number", "1"
        yield "a truth for a number", True
    if column.kind == "integer":
        yield "a fraction for a whole number", 1.5
    lows = [bound for bound in (column.minimum, column.exclusive_minimum) if bound is not None]
    highs = [bound for bound in (column.maximum, column.exclusive_maximum) if bound is not None]
    whole = column.kind == "integer"
    if lows and column.kind != "category":
        below = min(lows) - 1
        yield "a number below the limits", int(below) if whole else below
    if highs and column.kind != "category":
        above = max(highs) + 1
        yield "a number above the limits", int(above) if whole else above


def _bad(column: Column, good: Mapping[str, Any], what: str, value: Any) -> BadInput:
    row = _replace(column, good, value)
    return BadInput(what=f"{column.name}: {what}", body=_encode(row), field=column.field)


def _replace(column: Column, good: Mapping[str, Any], value: Any) -> Row:
    """Return a good input with one column's value replaced."""
    if column.element is None:
        return {**good, column.field: value}
    vector = list(good[column.field])
    vector[column.element] = value
    return {**good, column.field: vector}


def _encode(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row).encode()

"""Problems: what is wrong with an input, in FastAPI's shape and in words that lead to the cure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from pydantic import BaseModel, ValidationError

from rookery.fields.columns import LARGEST_INTEGER, Column
from rookery.fields.expression import Rule
from rookery.fields.hints import (
    SHOWN_NAMES,
    describe_column,
    list_names,
    nearest,
    show,
    show_number,
    unit_hint,
    with_unit,
)
from rookery.fields.schema import InputSchema, batch_name

Location: TypeAlias = Sequence[str | int]
Detail: TypeAlias = dict[str, Any]

INPUT_TEXT = 200
"""Characters of an echoed text."""
INPUT_ITEMS = 10
"""Items of an echoed list or object."""
INPUT_DEPTH = 3
"""Levels of an echoed structure."""

_SWAPPABLE = 20
"""So many out-of-range values of a row are compared with each other."""

_BOUNDS = {
    "greater_than_equal": ("ge", "below"),
    "greater_than": ("gt", "not above"),
    "less_than_equal": ("le", "above"),
    "less_than": ("lt", "not below"),
}


def describe_problems(
    error: ValidationError, schema: InputSchema, *, prefix: Location = ("body",), limit: int = 20
) -> list[Detail]:
    """Describe a validation error as FastAPI's 422 details: `type`, `loc`, `msg`, `input`, all of it strict JSON.

    Args:
        error: what the schema's model, or its batch model, raised.
        schema: the schema whose columns the fields become.
        prefix: put in front of every location.
        limit: so many details at most; a last one more says how many were left out.
    """
    problems = error.errors(include_url=False)
    inputs = _Inputs.of(schema, is_batch=error.title == batch_name(schema))
    swaps = _find_swaps(problems, inputs)
    details = []
    for index, problem in enumerate(problems[:limit]):
        message = _describe(problem, inputs)
        partner = swaps.get(index)
        if partner:
            message = f"{message.partition('; ')[0]}; {partner}"
        loc = [*prefix, *problem["loc"]]
        given = None if problem["type"] == "json_invalid" else echo(problem["input"])
        details.append({"type": problem["type"], "loc": echo_location(loc), "msg": message, "input": given})
    left = len(problems) - limit
    if left > 0:
        text = f"and {left} more problem{'s' if left > 1 else ''} like these"
        details.append({"type": "more_problems", "loc": list(prefix), "msg": text, "input": None})
    return details


def rule_problem(rule: Rule, values: BaseModel | Mapping[str, Any], loc: Location = ()) -> Detail:
    """Describe a broken rule, blaming the fields it names, or all that its condition reads.

    A rule about one field is located there; a rule between fields at the row itself, with the fields' values.
    """
    row = values.__dict__ if isinstance(values, BaseModel) else values
    names = rule.fields or tuple(sorted({_field_of(name, row) for name in rule.condition.column_names()}))
    if len(names) == 1:
        return {"type": "rule", "loc": [*loc, names[0]], "msg": rule.message, "input": echo(row.get(names[0]))}
    given = {name: echo(row.get(name)) for name in names}
    return {"type": "rule", "loc": list(loc), "msg": rule.message, "input": given}


def overflow_problem(schema: InputSchema, values: BaseModel | Mapping[str, Any], loc: Location = ()) -> Detail:
    """Describe the first number of a row that is finite, but too large for float32."""
    row = values.__dict__ if isinstance(values, BaseModel) else values
    largest = float(np.finfo(np.float32).max)
    for column in schema.columns:
        value = row.get(column.field)
        place: list[str | int] = [*loc, column.field]
        if column.element is not None and isinstance(value, (list, tuple)):
            value = value[column.element]
            place.append(column.element)
        if isinstance(value, (int, float)) and abs(value) > largest:
            message = f"{column.name}={show_number(value)} is too large: models compute up to {largest:.2e}"
            return {"type": "float32_overflow", "loc": place, "msg": message, "input": echo(value)}
    return {"type": "float32_overflow", "loc": list(loc), "msg": "a number is too large", "input": None}


def _field_of(column_name: str, row: Mapping[str, Any]) -> str:
    return column_name if column_name in row else column_name.rpartition("[")[0] or column_name


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What an error's locations are read against: the fields by name, alone or in the rows of a batch."""

    model_name: str
    fields: Mapping[str, Sequence[Column]]
    is_batch: bool

    @classmethod
    def of(cls, schema: InputSchema, *, is_batch: bool) -> _Inputs:
        fields: dict[str, list[Column]] = {}
        for column in schema.columns:
            fields.setdefault(column.field, []).append(column)
        return cls(schema.model.__name__, fields, is_batch)

    def names(self) -> str:
        return ", ".join(list(self.fields)[:SHOWN_NAMES])

    def split(self, loc: Location) -> tuple[int | None, Sequence[str | int]]:
        """Return a location's row in the batch, and what follows: the place within one input."""
        if self.is_batch and len(loc) > 1 and isinstance(loc[1], int):
            return loc[1], loc[2:]
        return None, () if self.is_batch else loc

    def column(self, place: Sequence[str | int]) -> Column | None:
        """Return the column that a place within one input names, if it names a single one."""
        columns = self.fields.get(str(place[0])) if place else None
        if columns is None:
            return None
        if columns[0].element is None:
            return columns[0] if len(place) == 1 else None
        index = place[1] if len(place) > 1 else None
        return columns[index] if isinstance(index, int) and index < len(columns) else None


def _describe(problem: Any, inputs: _Inputs) -> str:
    kind, given, loc = problem["type"], problem["input"], problem["loc"]
    if kind == "json_invalid":
        return f"the body is no valid JSON: {echo(problem['ctx']['error'])}"
    if kind in ("value_error", "assertion_error"):
        return _one_line(problem["msg"].partition(", ")[2] or problem["msg"])
    row, place = inputs.split(loc)
    if kind == "extra_forbidden":
        return _describe_extra(str(loc[-1]), inputs, of_batch=inputs.is_batch and row is None)
    column = inputs.column(place)
    if column is not None and column.element is not None and kind == "missing":
        return _describe_vector(inputs.fields[column.field], problem)
    if column is None:
        columns = inputs.fields.get(str(place[0])) if place else None
        return _describe_vector(columns, problem) if columns else _describe_structure(problem, row, inputs)
    if kind == "missing":
        return f"{column.name} is missing: it takes {describe_column(column)}"
    if kind in _BOUNDS:
        return _describe_bound(column, kind, given, problem["ctx"])
    if kind == "finite_number":
        return f"{column.name} is no finite number"
    if kind in ("literal_error", "enum") or (column.kind == "category" and kind.endswith("_type")):
        return _describe_category(column, given)
    return _describe_type(column, given) if kind.endswith("_type") else f"{column.name}: {_one_line(problem['msg'])}"


def _describe_extra(name: str, inputs: _Inputs, *, of_batch: bool) -> str:
    if of_batch:
        return f'{show(name)} is no field of a batch, which is {{"rows": [...]}}'
    if name == "rows":
        return "'rows' belongs to a batch, and this takes one input"
    close = nearest(name, inputs.fields)
    hint = f"did you mean {close}?" if close else f"it has {inputs.names()}"
    return f"{show(name)} is no field of {inputs.model_name}; {hint}"


def _describe_bound(column: Column, kind: str, given: Any, context: Mapping[str, Any]) -> str:
    keyword, relation = _BOUNDS[kind]
    message = f"{column.name}={show(given)} is {relation} {show_number(context[keyword])}{with_unit(column)}"
    if column.kind == "integer" and abs(context[keyword]) == LARGEST_INTEGER:
        return f"{message}: beyond it, float32 does not hold every whole number"
    hint = unit_hint(column, float(given)) if isinstance(given, (int, float)) and abs(given) < 1e300 else None
    return f"{message}; {hint}" if hint else message


def _describe_category(column: Column, given: Any) -> str:
    if given is None:
        return f"{column.name} is null: it takes {describe_column(column)}"
    shown = str(given) if isinstance(given, float) else show(given)
    message = f"{column.name}={shown} is not one of {list_names(column.categories)}"
    by_text = {str(category): category for category in column.categories}
    comparable = isinstance(given, (str, int, float)) and not isinstance(given, bool)
    close = nearest(show(given).strip("'"), by_text) if comparable else None
    return f"{message}; did you mean {show(by_text[close])}?" if close else message


def _describe_type(column: Column, given: Any) -> str:
    wanted = describe_column(column)
    if isinstance(given, str):
        hint = "; write it without quotes" if _reads_as(column, given) else ""
        return f"{column.name}={show(given)} is text: it takes {wanted}{hint}"
    if isinstance(given, float) and column.kind == "integer":
        hint = f"; write {int(given)}" if given.is_integer() and abs(given) < 1e15 else ""
        return f"{column.name}={given} is no whole number: it takes {wanted}{hint}"
    if column.kind == "boolean" and given in (0, 1):
        return f"{column.name}={show(given)} is a number: it takes true or false"
    return f"{column.name} is {show(given)}: it takes {wanted}"


def _reads_as(column: Column, text: str) -> bool:
    """Tell whether a text spells a value that the column would take."""
    try:
        if column.kind == "boolean":
            return text.lower() in ("true", "false")
        return math.isfinite(float(text[:INPUT_TEXT]))
    except ValueError:
        return False


def _describe_vector(columns: Sequence[Column], problem: Any) -> str:
    """Describe a vector that is missing, no list, or of the wrong length."""
    name, given = columns[0].field, problem["input"]
    if problem["type"] == "missing" and not isinstance(problem["loc"][-1], int):
        return f"{name} is missing: it takes a list of {len(columns)} numbers"
    if isinstance(given, (list, tuple)):
        return f"{name} has {len(given)} values: it takes {len(columns)}"
    return f"{name} is {show(given)}: it takes a list of {len(columns)} numbers"


def _describe_structure(problem: Any, row: int | None, inputs: _Inputs) -> str:
    """Describe what is wrong with a whole body, batch or row."""
    kind, given = problem["type"], problem["input"]
    if tuple(problem["loc"]) == ("rows",) and inputs.is_batch:
        if kind == "missing":
            return 'rows is missing: a batch is {"rows": [...]}'
        return "rows is empty: a batch has at least one row" if kind == "too_short" else "rows is no list of inputs"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        if inputs.is_batch and row is None:
            return f'the body is {show(given)}: a batch is {{"rows": [...]}}'
        what = "the body" if row is None else f"row {row}"
        return f"{what} is {show(given)}: it must be an object with the fields {inputs.names()}"
    return _one_line(problem["msg"])


def _find_swaps(problems: Sequence[Any], inputs: _Inputs) -> dict[int, str]:
    """Find pairs of one row's values that are out of range, each within the range of the other."""
    rows: dict[int | None, list[tuple[int, Column, float]]] = {}
    for index, problem in enumerate(problems):
        if problem["type"] in _BOUNDS and isinstance(problem["input"], (int, float)):
            row, place = inputs.split(problem["loc"])
            column = inputs.column(place)
            if column is not None:
                rows.setdefault(row, []).append((index, column, problem["input"]))
    swaps: dict[int, str] = {}
    for broken in rows.values():
        for (index, column, value), (other_index, other, other_value) in combinations(broken[:_SWAPPABLE], 2):
            if index not in swaps and other_index not in swaps and column.allows(other_value) and other.allows(value):
                swaps[index] = swaps[other_index] = f"{column.name} and {other.name} look swapped"
    return swaps


def _one_line(text: str) -> str:
    """Return a message made safe for a response: one line of bounded length, valid UTF-8."""
    return str(echo(" ".join(text.split())))


def echo_location(loc: Location) -> list[str | int]:
    """Return a location with the client's own names cut and made valid UTF-8."""
    return [part if isinstance(part, int) else echo(str(part)) for part in loc]


def echo(value: Any, depth: int = INPUT_DEPTH) -> Any:
    """Return a value as strict JSON of bounded size: never NaN, infinities, huge integers or invalid UTF-8."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        if depth == 0:
            return "{…}"
        kept = list(value.items())[:INPUT_ITEMS]
        return {str(echo(str(key))): echo(item, depth - 1) for key, item in kept}
    if isinstance(value, (list, tuple)):
        if depth == 0:
            return "[…]"
        items = [echo(item, depth - 1) for item in value[:INPUT_ITEMS]]
        return [*items, "…"] if len(value) > INPUT_ITEMS else items
    text = value[: INPUT_TEXT * 4].decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = text[: INPUT_TEXT + 1].encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= INPUT_TEXT else f"{text[:INPUT_TEXT]}…"

"""Input models that the tests of this room share, and strategies that draw further ones."""

from __future__ import annotations

import json
from enum import Enum, IntEnum
from itertools import groupby
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from rookery.fields.columns import Column
from rookery.fields.schema import InputSchema, read_input_model


class Penguin(BaseModel):
    """Body measurements of one bird."""

    bill_length_mm: float = Field(ge=20, le=80, json_schema_extra={"unit": "mm"}, examples=[39.1])
    bill_depth_mm: float = Field(ge=10, le=30, json_schema_extra={"unit": "mm"})
    body_mass_g: float = Field(ge=1000, le=8000, description="Body mass", json_schema_extra={"unit": "g"})
    year: int = Field(2007, ge=2000, le=2100)
    sex: Literal["male", "female"] | None
    island: Literal["Torgersen", "Biscoe", "Dream"]


PENGUIN: dict[str, Any] = {
    "bill_length_mm": 39.1,
    "bill_depth_mm": 18.7,
    "body_mass_g": 3750,
    "year": 2007,
    "sex": "male",
    "island": "Biscoe",
}


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Everything(BaseModel):
    """One field of every kind."""

    number: float
    share: float = Field(gt=0, lt=1)
    count: int
    flag: bool
    maybe: float | None = None
    maybe_count: int | None = Field(None, ge=0)
    maybe_flag: bool | None
    text: Literal["a", "b", "c"]
    code: Literal[3, 1, 2]
    mixed: Literal["x", 7] | None = "x"
    colour: Colour = Colour.BLUE
    level: Level
    features: list[Annotated[float, Field(ge=0, le=10)]] = Field(min_length=3, max_length=3)
    pair: tuple[float, int]


EVERYTHING: dict[str, Any] = {
    "number": -1.5,
    "share": 0.25,
    "count": 12,
    "flag": True,
    "maybe_flag": None,
    "text": "b",
    "code": 1,
    "level": 2,
    "features": [1, 2.5, 3],
    "pair": [0.5, 9],
}


def floats(values: Any) -> npt.NDArray[np.float32]:
    """Return values as an array of float32."""
    return np.array(values, dtype=np.float32)


def read(schema: InputSchema, values: Any) -> BaseModel:
    """Validate values as a request's JSON would be."""
    return schema.model.model_validate_json(json.dumps(values))


def _bounds(whole: bool) -> st.SearchStrategy[dict[str, Any]]:
    edge: st.SearchStrategy[Any] = st.integers(-100, 100) if whole else st.floats(-100, 100)

    def arrange(low: Any, high: Any, kinds: tuple[str, str, bool, bool]) -> dict[str, Any]:
        low, high = min(low, high), max(low, high) + 2
        lower, upper, has_lower, has_upper = kinds
        return ({lower: low} if has_lower else {}) | ({upper: high} if has_upper else {})

    kinds = st.tuples(st.sampled_from(["ge", "gt"]), st.sampled_from(["le", "lt"]), st.booleans(), st.booleans())
    return st.builds(arrange, edge, edge, kinds)


def _number_types() -> st.SearchStrategy[Any]:
    def bounded(bare: type, bounds: dict[str, Any], optional: bool) -> Any:
        annotation: Any = Annotated[bare, Field(**bounds)] if bounds else bare
        return annotation | None if optional else annotation

    floats = st.builds(bounded, st.just(float), _bounds(whole=False), st.booleans())
    return st.one_of(floats, st.builds(bounded, st.just(int), _bounds(whole=True), st.booleans()))


def _category_types() -> st.SearchStrategy[Any]:
    values = st.lists(
        st.one_of(st.sampled_from(["a", "b", "red", "1", ""]), st.integers(-3, 3)), min_size=1, max_size=5, unique=True
    )

    def make(values: list[Any], as_enum: bool, optional: bool) -> Any:
        members = Enum("Drawn", {f"M{index}": value for index, value in enumerate(values)})  # type: ignore[misc]
        annotation: Any = members if as_enum else Literal[tuple(values)]
        return annotation | None if optional else annotation

    return st.builds(make, values, st.booleans(), st.booleans())


def _vector_fields() -> st.SearchStrategy[tuple[Any, Any]]:
    length = st.integers(1, 4)
    lists = st.builds(
        lambda element, n: (list[element], Field(min_length=n, max_length=n)),  # type: ignore[valid-type]
        _number_types(),
        length,
    )
    tuples = st.lists(_number_types(), min_size=1, max_size=4).map(lambda types: (tuple[tuple(types)], ...))  # type: ignore[misc]
    return st.one_of(lists, tuples)


def models() -> st.SearchStrategy[type[BaseModel]]:
    """Draw pydantic models of up to five fields of every kind that columns can hold."""
    scalars = st.one_of(_number_types(), st.just(bool), st.just(bool | None), _category_types())
    field = st.one_of(st.tuples(scalars, st.just(...)), _vector_fields())
    names = st.sampled_from(["alpha", "beta", "gamma", "delta", "schema", "copy"])
    return st.dictionaries(names, field, min_size=1, max_size=5).map(lambda fields: create_model("Drawn", **fields))


def allowed_values(column: Column) -> st.SearchStrategy[Any]:
    """Draw values that a column's field accepts."""
    if column.kind == "category":
        own: st.SearchStrategy[Any] = st.sampled_from(column.categories)
    elif column.kind == "boolean":
        own = st.booleans()
    elif column.kind == "integer":
        low, high = column.minimum, column.maximum
        low = column.exclusive_minimum + 1 if low is None and column.exclusive_minimum is not None else low
        high = column.exclusive_maximum - 1 if high is None and column.exclusive_maximum is not None else high
        own = st.integers(int(low or 0), int(high or 0))
    else:
        low, high = column.minimum, column.maximum
        own = st.floats(
            min_value=next((bound for bound in (low, column.exclusive_minimum) if bound is not None), -3e38),
            max_value=next((bound for bound in (high, column.exclusive_maximum) if bound is not None), 3e38),
            exclude_min=column.exclusive_minimum is not None,
            exclude_max=column.exclusive_maximum is not None,
        )
    return st.one_of(own, own, st.none()) if column.optional else own


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(), st.sampled_from(["a", "b", "red", "1", ""])
)


def valid_values(schema: InputSchema) -> st.SearchStrategy[dict[str, Any]]:
    """Draw bodies that the schema accepts."""
    return st.fixed_dictionaries(_by_field(schema, {column.name: allowed_values(column) for column in schema.columns}))


def json_values(schema: InputSchema) -> st.SearchStrategy[dict[str, Any]]:
    """Draw bodies for a schema: valid ones, ones with a value or two that may not be right, and incomplete ones."""
    mixed = {column.name: st.one_of(*[allowed_values(column)] * 3, JUNK) for column in schema.columns}
    fields = _by_field(schema, mixed)
    return st.one_of(
        valid_values(schema),
        st.fixed_dictionaries(fields),
        st.fixed_dictionaries({}, optional=fields | {"other": JUNK}),
    )


def _by_field(schema: InputSchema, columns: dict[str, st.SearchStrategy[Any]]) -> dict[str, st.SearchStrategy[Any]]:
    fields: dict[str, Any] = {}
    for field, group in groupby(schema.columns, key=lambda column: column.field):
        own = list(group)
        elements = [columns[column.name] for column in own]
        fields[field] = elements[0] if own[0].element is None else st.tuples(*elements).map(list)
    return fields


def is_valid(schema: InputSchema, values: Any) -> bool:
    """Tell whether a schema accepts values sent as JSON."""
    try:
        read(schema, values)
    except ValueError:
        return False
    return True


PENGUIN_SCHEMA = read_input_model(Penguin)
EVERYTHING_SCHEMA = read_input_model(Everything)

"""Pydantic models read as columns, made strict, and rebuilt from their columns."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from enum import Enum, Flag
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import annotated_types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    RootModel,
    TypeAdapter,
    ValidationError,
    conlist,
    create_model,
    field_validator,
)

from rookery.errors import DefinitionError
from rookery.fields.columns import LARGEST_INTEGER, Column
from rookery.fields.encoder import Encoder
from rookery.fields.schema import batch_model, read_input_model, rebuild_schema, schema_digest
from tests.fields.models import (
    EVERYTHING,
    EVERYTHING_SCHEMA,
    PENGUIN,
    PENGUIN_SCHEMA,
    Colour,
    Level,
    Penguin,
    is_valid,
    json_values,
    models,
    read,
)

Named = Literal["a"]


def columns_of(**fields: Any) -> tuple[Column, ...]:
    return read_input_model(create_model("Drawn", **fields)).columns


def test_fields_become_columns_in_their_order() -> None:
    assert [column.name for column in EVERYTHING_SCHEMA.columns] == [
        *("number", "share", "count", "flag", "maybe", "maybe_count", "maybe_flag"),
        *("text", "code", "mixed", "colour", "level"),
        *("features[0]", "features[1]", "features[2]", "pair[0]", "pair[1]"),
    ]
    assert EVERYTHING_SCHEMA.width == 17


def test_a_column_keeps_what_its_field_says() -> None:
    """Units, descriptions, examples, bounds, defaults and further entries survive."""
    field = Field(
        4,
        ge=0,
        lt=9,
        title="Depth",
        description="How deep",
        examples=[3.5, 4],
        json_schema_extra={"unit": "m", "b": [1]},
    )
    assert columns_of(depth=(float, field)) == (
        Column(
            name="depth",
            field="depth",
            kind="number",
            default=4,
            required=False,
            minimum=0,
            exclusive_maximum=9,
            unit="m",
            title="Depth",
            description="How deep",
            example=3.5,
            extra=(("b", [1]),),
        ),
    )


@pytest.mark.parametrize(
    ("annotation", "kind", "optional", "categories"),
    [
        (float, "number", False, ()),
        (Annotated[float, Field(ge=0)], "number", False, ()),
        (int | None, "integer", True, ()),
        (NewType("Metres", float), "number", False, ()),
        (Annotated[int | None, Field(ge=0)], "integer", True, ()),
        (bool, "boolean", False, ()),
        (Literal["a", "b"], "category", False, ("a", "b")),
        (Literal["a", None], "category", True, ("a",)),
        (Literal[Named, "b", 3], "category", False, ("a", "b", 3)),
        (Colour, "category", False, ("red", "blue")),
        (Level | None, "category", True, (1, 2)),
    ],
)
def test_types_become_kinds(annotation: Any, kind: str, optional: bool, categories: tuple[Any, ...]) -> None:
    (column,) = columns_of(x=(annotation, ...))
    assert (column.kind, column.optional, column.categories) == (kind, optional, categories)


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[float, Field(ge=1, le=5)],
        Annotated[float, annotated_types.Ge(1), annotated_types.Le(5)],
        Annotated[float, annotated_types.Interval(ge=1, le=5)],
        Annotated[float | None, Field(ge=1, le=5)],
        Annotated[float, Field(ge=1)] | None,
    ],
)
def test_bounds_are_read_wherever_they_are_written(annotation: Any) -> None:
    (column,) = columns_of(x=(annotation, ...))
    assert column.minimum == 1


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[list[float], Field(min_length=2, max_length=2)],
        Annotated[list[float], annotated_types.Len(2, 2)],
        Annotated[tuple[float, ...], Field(min_length=2, max_length=2)],
        tuple[float, float],
        conlist(float, min_length=2, max_length=2),
    ],
)
def test_vectors_of_fixed_length_become_one_column_per_element(annotation: Any) -> None:
    columns = columns_of(v=(annotation, Field([1, 2], examples=[[3, 4]])))
    assert [(c.name, c.field, c.element, c.default, c.example) for c in columns] == [
        ("v[0]", "v", 0, 1, 3),
        ("v[1]", "v", 1, 2, 4),
    ]


def test_bounds_of_a_vectors_elements_are_kept() -> None:
    columns = columns_of(v=(tuple[Annotated[float, Field(gt=0)], PositiveInt], ...))
    assert [column.exclusive_minimum for column in columns] == [0, 0]
    assert [column.kind for column in columns] == ["number", "integer"]


class Nested(BaseModel):
    x: float


class Bits(Flag):
    A = 1


class Halves(Enum):
    HALF = 0.5


class Empty(Enum):
    pass


REFUSED: list[tuple[Any, Any, str]] = [
    (str, ..., "Literal['red', 'green']"),
    (Nested, ..., "into the input model itself"),
    (dict[str, float], ..., "Allowed are"),
    (datetime.date, ..., "Allowed are"),
    (Decimal, ..., "Allowed are"),
    (Path, ..., "Allowed are"),
    (Any, ..., "Allowed are"),
    (int | str, ..., "Allowed are"),
    (Bits, ..., "Allowed are"),
    (Halves, ..., "neither a text nor a whole number"),
    (Literal[True, False], ..., "use bool"),
    (Empty, ..., "at least one"),
    (list[float], ..., "min_length=4, max_length=4"),
    (list, Field(min_length=2, max_length=2), "Give type and length"),
    (tuple[float, ...], ..., "Give type and length"),
    (list[float], Field(min_length=1, max_length=3), "Give type and length"),
    (list[str], Field(min_length=2, max_length=2), "Allowed are"),
    (list[bool], Field(min_length=2, max_length=2), "Allowed are"),
    (list[Literal["a"]], Field(min_length=2, max_length=2), "Allowed are"),
    (Annotated[list[float], Field(min_length=2, max_length=2)] | None, ..., "missing elements"),
    (float, Field(alias="X"), "drop the alias"),
    (float, Field(validation_alias="X"), "drop the alias"),
    (float, Field(default_factory=float), "default_factory"),
    (float, Field(multiple_of=0.5), "multiple_of"),
    (float, Field(strict=False), "never coerced"),
    (float, Field(allow_inf_nan=True), "missing values are None"),
    (Annotated[float, Field(ge=1)], Field(ge=2), "declares ge twice"),
    (float, None, "Allow None in the field's type"),
    (float, Field(5, le=4), "that the field itself allows"),
    (float, Field("5"), "that the field itself allows"),
    (float, Field(True), "that the field itself allows"),
    (bool, Field(1), "that the field itself allows"),
    (int, Field(1.0), "that the field itself allows"),
    (Literal["a"], Field("b"), "that the field itself allows"),
    (Literal[1], Field(True), "that the field itself allows"),
    (float, Field(examples=["much"]), "that the field itself allows"),
    (list[float], Field([1], min_length=2, max_length=2), "no list of 2"),
    (list[float], Field([1, "2"], min_length=2, max_length=2), "that the field itself allows"),
    (list[float], Field(None, min_length=2, max_length=2), "no vector"),
    (float, Field(gt=1, lt=1), "Correct ge"),
    (float, Field(ge=2, le=1), "Correct ge"),
    (int, Field(gt=1, lt=2), "Correct ge"),
    (float, Field(ge=float("nan")), "no finite number"),
    (int, Field(ge=0, le=10**8), "declare it as float"),
    (int, Field(gt=-(2**24) - 2), "declare it as float"),
    (float, Field(json_schema_extra={"unit": 3}), '{"unit": "mm"}'),
    (float, Field(json_schema_extra={"when": datetime.date(2020, 1, 1)}), "Use JSON values"),  # type: ignore[dict-item]
]


@pytest.mark.parametrize(("annotation", "field", "cure"), REFUSED)
def test_a_field_that_columns_cannot_hold_is_refused_by_name_with_the_cure(
    annotation: Any, field: Any, cure: str
) -> None:
    model = create_model("Drawn", odd=(annotation, field))
    with pytest.raises(DefinitionError, match=r"^Drawn\.odd") as caught:
        read_input_model(model)
    assert cure in str(caught.value)


def test_bounds_of_a_vector_as_a_whole_are_refused() -> None:
    """Pydantic itself refuses them late; ours says where they belong."""
    bounds = Annotated[list[float], annotated_types.Len(2, 2), annotated_types.Ge(0)]
    with pytest.raises((DefinitionError, TypeError)):
        read_input_model(create_model("Drawn", v=(bounds, ...)))


def test_two_fields_that_become_one_column_are_refused() -> None:
    model = create_model(
        "Drawn",
        **{"v": (list[float], Field(min_length=1, max_length=1)), "v[0]": (float, ...)},  # type: ignore[call-overload]
    )
    with pytest.raises(DefinitionError, match=r"column 'v\[0\]'"):
        read_input_model(model)


ALIASED = ConfigDict(alias_generator=AliasGenerator(str.upper))


@pytest.mark.parametrize(
    "model",
    [int, "Penguin", create_model("Empty"), RootModel[float], create_model("M", x=(float, ...), __config__=ALIASED)],
)
def test_what_is_no_input_model_is_refused(model: Any) -> None:
    with pytest.raises(DefinitionError):
        read_input_model(model)


def test_a_model_with_undefined_types_is_refused_by_name() -> None:
    class Unfinished(BaseModel):
        x: "NotThere"  # type: ignore[name-defined]  # noqa: F821, UP037

    with pytest.raises(DefinitionError, match="Unfinished refers to types"):
        read_input_model(Unfinished)


def test_the_strict_model_keeps_name_title_docstring_and_units() -> None:
    schema = PENGUIN_SCHEMA.json_schema()
    assert PENGUIN_SCHEMA.model.__name__ == schema["title"] == "Penguin"
    assert schema["description"] == "Body measurements of one bird."
    assert schema["additionalProperties"] is False
    assert schema["properties"]["bill_length_mm"] == {
        "title": "Bill Length Mm",
        "type": "number",
        "minimum": 20,
        "maximum": 80,
        "unit": "mm",
        "examples": [39.1],
    }
    assert schema["properties"]["island"]["enum"] == ["Torgersen", "Biscoe", "Dream"]
    assert schema["required"] == ["bill_length_mm", "bill_depth_mm", "body_mass_g", "sex", "island"]


def test_the_json_schema_shows_categories_of_whole_numbers() -> None:
    schema = EVERYTHING_SCHEMA.json_schema()
    assert schema["properties"]["code"]["enum"] == [3, 1, 2]
    assert schema["$defs"]["Level"]["enum"] == [1, 2]
    assert schema["properties"]["count"]["maximum"] == LARGEST_INTEGER


LOOSENINGS: dict[str, tuple[str, Any]] = {
    "an unknown field": ("extra", 1),
    "a number as text": ("number", "1"),
    "a truth as a number": ("number", True),
    "a fraction as an integer": ("count", 1.5),
    "a whole float as an integer": ("count", 1.0),
    "an integer beyond float32": ("count", LARGEST_INTEGER + 1),
    "an optional integer beyond float32": ("maybe_count", LARGEST_INTEGER + 1),
    "an element beyond float32": ("pair", [1, LARGEST_INTEGER + 1]),
    "a number as a truth": ("flag", 1),
    "a text as a truth": ("flag", "true"),
    "a number as text of a category": ("text", 1),
    "a float as a code": ("code", 1.0),
    "a truth as a code": ("code", True),
    "a text as a code": ("code", "1"),
    "a float as an enum": ("level", 2.0),
    "a truth as an enum": ("level", True),
    "another case of an enum": ("colour", "RED"),
    "null where it is not allowed": ("number", None),
    "a vector that is too short": ("features", [1, 2]),
    "a vector that is too long": ("features", [1, 2, 3, 4]),
    "a vector with an element beyond its bounds": ("features", [1, 2, 11]),
    "NaN": ("number", float("nan")),
    "infinity": ("number", float("inf")),
    "a huge integer": ("number", 10**400),
    "NaN in a vector": ("features", [1, 2, float("nan")]),
}


@pytest.mark.parametrize("what", LOOSENINGS)
def test_strictness_cannot_be_loosened_by_the_users_configuration(what: str) -> None:
    """The model itself asks to be lax in every way; it is refused nonetheless, as is the rebuilt one."""
    lax = ConfigDict(
        extra="allow",
        strict=False,
        allow_inf_nan=True,
        use_enum_values=True,
        defer_build=True,
        hide_input_in_errors=True,
    )

    class Lax(EVERYTHING_SCHEMA.model.__bases__[0]):  # type: ignore[name-defined]
        model_config = lax

    schema = read_input_model(Lax)
    assert is_valid(schema, EVERYTHING)
    field, value = LOOSENINGS[what]
    assert not is_valid(schema, {**EVERYTHING, field: value})
    assert not is_valid(rebuild_schema("Lax", schema.columns), {**EVERYTHING, field: value})


def test_the_users_own_validators_are_kept() -> None:
    class Checked(BaseModel):
        low: Annotated[int, BeforeValidator(lambda v: v + 1 if v == 0 else v), AfterValidator(lambda v: v * 2)]
        high: float

        @field_validator("high")
        @classmethod
        def _no_thirteen(cls, value: float) -> float:
            if value == 13:
                raise ValueError("thirteen brings bad luck")
            return value

    schema = read_input_model(Checked)
    assert read(schema, {"low": 0, "high": 1}).model_dump() == {"low": 2, "high": 1}
    assert not is_valid(schema, {"low": 0, "high": 13})
    assert not is_valid(schema, {"low": LARGEST_INTEGER + 1, "high": 1})


def test_the_users_own_model_stays_as_it_was() -> None:
    before = Penguin.model_json_schema()
    read_input_model(Penguin)
    assert Penguin.model_json_schema() == before
    assert Penguin.model_config.get("extra") is None


def test_rebuilding_gives_the_same_columns_and_documentation() -> None:
    rebuilt = rebuild_schema("Penguin", PENGUIN_SCHEMA.columns)
    assert rebuilt.columns == PENGUIN_SCHEMA.columns == read_input_model(rebuilt.model).columns
    properties = rebuilt.json_schema()["properties"]
    assert properties["bill_length_mm"] == PENGUIN_SCHEMA.json_schema()["properties"]["bill_length_mm"]
    assert properties["body_mass_g"]["description"] == "Body mass"


def test_columns_survive_the_json_of_a_manifest() -> None:
    adapter = TypeAdapter(tuple[Column, ...])
    again = adapter.validate_json(adapter.dump_json(EVERYTHING_SCHEMA.columns))
    assert again == EVERYTHING_SCHEMA.columns


@pytest.mark.filterwarnings("ignore:.*shadows an attribute:UserWarning")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_rebuilt_model_accepts_and_refuses_and_encodes_alike(data: st.DataObject) -> None:
    """For any model and any body: original and rebuilt agree, down to the matrix."""
    original = read_input_model(data.draw(models()))
    rebuilt = rebuild_schema("Drawn", original.columns)
    assert read_input_model(rebuilt.model).columns == original.columns
    for _ in range(5):
        values = data.draw(json_values(original))
        assert is_valid(original, values) == is_valid(rebuilt, values)
        if is_valid(original, values):
            first = Encoder(original).encode_rows([read(original, values)])
            second = Encoder(rebuilt).encode_rows([read(rebuilt, values)])
            assert first.tobytes() == second.tobytes()


def test_a_rebuilt_whole_number_without_bounds_stays_exact() -> None:
    schema = rebuild_schema("M", [Column(name="n", field="n", kind="integer")])
    assert is_valid(schema, {"n": LARGEST_INTEGER})
    assert not is_valid(schema, {"n": LARGEST_INTEGER + 1})


def number(name: str, **facts: Any) -> Column:
    return Column(**{"name": name, "field": name, "kind": "number", **facts})


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ([], "at least one column"),
        ([number("a"), number("a")], "share a name"),
        ([number("a", field="v"), number("b"), number("c", field="v")], "not side by side"),
        ([number("v[1]", field="v", element=1)], "not numbered"),
        ([number("v[0]", field="v", element=0), number("v[2]", field="v", element=2)], "not numbered"),
        ([number("a", kind="category")], "no categories"),
        ([number("a", kind="category", categories=("x", "x"))], "twice"),
        ([number("a", kind="category", categories=("x",), minimum=0.0)], "bounds"),
        ([number("a", categories=("x",))], "number with categories"),
        ([number("a", kind="boolean", minimum=0.0)], "bounds"),
        ([number("a", minimum=float("inf"))], "not finite"),
        ([number("a", required=False)], "default None"),
        (
            [
                number("v[0]", field="v", element=0, required=False, default=1.0),
                number("v[1]", field="v", element=1),
            ],
            "some have none",
        ),
    ],
)
def test_columns_that_contradict_themselves_are_refused(columns: list[Column], reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        rebuild_schema("M", columns)


def test_a_batch_is_rows_of_inputs_and_nothing_else() -> None:
    model = batch_model(PENGUIN_SCHEMA)
    assert model.__name__ == "PenguinBatch"
    batch: Any = model.model_validate_json(json.dumps({"rows": [PENGUIN, PENGUIN]}))
    assert [type(row) for row in batch.rows] == [PENGUIN_SCHEMA.model] * 2
    bodies: list[Any] = [{}, {"rows": []}, {"rows": PENGUIN}, {"rows": [PENGUIN], "more": 1}, {"rows": [{}]}, [PENGUIN]]
    for body in bodies:
        with pytest.raises(ValidationError):
            model.model_validate_json(json.dumps(body))


def test_the_digest_changes_with_the_encoding_and_not_with_the_words() -> None:
    base = number("a", minimum=0.0)
    assert schema_digest([base]) == schema_digest([number("a", minimum=0.0, title="A", unit="m", description="x")])
    others = [number("b", minimum=0.0), number("a"), number("a", minimum=0.0, optional=True)]
    assert len({schema_digest([column]) for column in (base, *others)}) == 4

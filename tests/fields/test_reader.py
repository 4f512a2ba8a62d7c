"""Packed reading accepts nothing that the model refuses, and gives the very bytes that the model's way gives."""

from __future__ import annotations

import json
import math
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Predicate
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)

from rookery.fields.encoder import Encoder
from rookery.fields.packing import Packer, make_packer
from rookery.fields.reader import ModelReader, PackingReader, Reader, make_reader
from rookery.fields.schema import InputSchema, read_input_model
from tests.fields.models import PENGUIN, PENGUIN_SCHEMA, models, valid_values


class Plain(BaseModel):
    """Every kind of field that can be packed."""

    model_config = ConfigDict(frozen=True, title="Plain")

    number: float
    share: float = Field(gt=0, lt=1)
    weight: Annotated[float, Field(ge=0.1)] = 2
    count: int = Field(ge=-3, lt=7)
    any_count: int
    flag: bool
    maybe: float | None = None
    maybe_count: int | None = Field(None, ge=0)
    maybe_flag: bool | None = None
    text: Literal["a", "bé", "c", "", "1"]
    maybe_text: Literal["a", "b", None] = "b"
    code: Literal[3, 1, -2] = 1
    features: list[Annotated[float, Field(ge=0, le=10)]] = Field([1, 2, 3], min_length=3, max_length=3)
    pair: tuple[float | None, int] = (0.5, 9)


PLAIN = read_input_model(Plain)
PLAIN_BODY: dict[str, Any] = {
    "number": -1.5,
    "share": 0.25,
    "weight": 1,
    "count": 2,
    "any_count": 12,
    "flag": True,
    "maybe": None,
    "maybe_count": 4,
    "maybe_flag": False,
    "text": "bé",
    "maybe_text": None,
    "code": 3,
    "features": [1, 2.5, 3],
    "pair": [None, 9],
}

NUMBERS = [
    "0", "-0", "-0.0", "0.0", "1", "1.0", "2", "-1", "7", "6", "6.9999999999999999", "1e0", "1E+2", "1e-400",
    "1e999", "-1e999",
    "0.1", "0.1000000000000000055511151231257827", "0.30000001192092896", "16777216", "16777217", "-16777217",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e39", "3.4028236e38",
    "3.4028235677973366e38", "123456789012345678901234567890", "4.9e-324", "1.401298464324817e-45", "01", "1.", ".5",
    "+1", "-", "1e", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "nan",
    "9" * 400, "0." + "3" * 800, "1" + "0" * 4400,
    "5e-1", "0.9999999999999999999999", "0.00000000000000000000001", "2.0000000000000001",
]  # fmt: skip
OTHERS = [
    "true", "false", "null",
    '"a"', '"1"', '"b\\u00e9"', '"b\u00e9"', '"\\u0061"', '"A"', '"a "', '"\\ud800"', '"\\ud83d\\ude00"',
    '""', "[]", "{}", "[1,2,3]", "[1,2]", "[1,2,3,4]", "[null,9]", "[1.5,9.0]", "[1,[2],3]",
    '{"a":1}', '["1",9]', "True",
    '"a\n"', '"\\x61"', "[1,2,3,]", "[[[[[[[[]]]]]]]]", "[" * 300 + "]" * 300,
]  # fmt: skip
SHAPES = [
    "{}", " \t\r\n{} \n", "\ufeff{}", "{} x", "{}{}", "{},", "[{}]", "{{}", "{}}", "{}\x00", "\x0c{}", "// a\n{}",
    "", "null", "7"
]  # fmt: skip
SPELLINGS = st.one_of(
    st.sampled_from(NUMBERS + OTHERS),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-10, 10).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)


def outcome(read: Any, body: bytes) -> bytes | str:
    """Return the rows that a body becomes, or that it is refused."""
    try:
        return bytes(read(body))
    except ValidationError:
        return "refused"


def compare(schema: InputSchema, body: bytes) -> bool:
    """Hold both ways of reading a body, and a batch of it, against each other; tells whether it was packed."""
    packer = make_packer(schema)
    assert packer is not None
    encoder = Encoder(schema)
    model = ModelReader(schema, encoder)
    try:
        packed: bytes | None = packer.pack(body)
    except Exception:
        packed = None
    by_model = outcome(lambda data: encoder.encode_rows(model.read(data)).tobytes(), body)
    if packed is not None:
        assert packed == by_model
    batch = b'{"rows":[' + body + b"," + body + b"]}"
    try:
        packed_batch: bytes | None = packer.pack_batch(batch)
    except Exception:
        packed_batch = None
    if packed_batch is not None:
        assert packed_batch == outcome(lambda data: encoder.encode_rows(model.read_batch(data)[0]).tobytes(), batch)
    reader = PackingReader(packer, model)
    assert outcome(reader.read, body) == by_model
    return packed is not None


def write(fields: list[tuple[str, str]], shape: str = "{}") -> bytes:
    inner = ",".join(f"{name}:{value}" for name, value in fields)
    return shape.replace("{}", "{" + inner + "}", 1).encode("utf-8", "surrogatepass")


def spell(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(json.dumps(name), json.dumps(value)) for name, value in values.items()]


@pytest.mark.parametrize("text", NUMBERS + OTHERS)
@pytest.mark.parametrize("field", list(PLAIN_BODY))
def test_every_spelling_of_every_kind_of_field_reads_alike(field: str, text: str) -> None:
    spelled = dict(spell(PLAIN_BODY)) | {json.dumps(field): text}
    compare(PLAIN, write(list(spelled.items())))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_body_reads_alike(shape: str) -> None:
    compare(PLAIN, write(spell(PLAIN_BODY), shape))


def test_ordinary_bodies_are_packed() -> None:
    assert compare(PLAIN, json.dumps(PLAIN_BODY).encode())
    assert compare(PLAIN, json.dumps(PLAIN_BODY, ensure_ascii=False, indent=2).encode())
    assert compare(PENGUIN_SCHEMA, json.dumps(PENGUIN).encode())
    required = {column.field for column in PLAIN.columns if column.required}
    assert compare(PLAIN, json.dumps({name: PLAIN_BODY[name] for name in required}).encode())


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_mutated_bodies_read_alike(data: st.DataObject) -> None:
    """Values respelled, fields doubled, dropped, renamed, escaped and in another order, bytes flipped."""
    fields = spell(PLAIN_BODY)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(fields) - 1))
        name, value = fields[place]
        kind = data.draw(st.sampled_from(["respell", "double", "drop", "rename", "escape", "shuffle"]))
        if kind == "respell":
            fields[place] = name, data.draw(SPELLINGS)
        elif kind == "double":
            fields.insert(
                data.draw(st.integers(0, len(fields))), (name, data.draw(st.one_of(st.just(value), SPELLINGS)))
            )
        elif kind == "drop" and len(fields) > 1:
            del fields[place]
        elif kind == "rename":
            fields[place] = data.draw(st.sampled_from(['"other"', '"Number"', '"number "', '""', name])), value
        elif kind == "escape":
            fields[place] = f'"\\u{ord(name[1]):04x}{name[2:]}', value
        else:
            fields = data.draw(st.permutations(fields))
    body = bytearray(write(fields, data.draw(st.sampled_from(["{}", "{}", *SHAPES]))))
    if body and data.draw(st.booleans()):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    compare(PLAIN, bytes(body))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_random_models_read_alike(data: st.DataObject) -> None:
    schema = read_input_model(data.draw(models()))
    packer = make_packer(schema)
    values = data.draw(valid_values(schema))
    fields = spell(values)
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(fields) - 1))
        fields[place] = fields[place][0], data.draw(SPELLINGS)
        changed = True
    else:
        changed = False
    if packer is None:
        kinds = [{type(category) for category in column.categories} for column in schema.columns]
        assert any(len(types) > 1 for types in kinds)
    else:
        assert compare(schema, write(fields)) or changed


class Named(Enum):
    """An enumeration of texts."""

    RED = "red"
    BLUE = "blue"


class Numbered(IntEnum):
    """An enumeration of whole numbers."""

    ONE = 1
    TWO = 2


def test_enumerations_of_the_user_are_packed_as_their_codes() -> None:
    schema = read_input_model(create_model("Drawn", colour=(Named, Named.BLUE), level=(Numbered | None, ...)))
    assert compare(schema, b'{"colour":"blue","level":2}')
    assert compare(schema, b'{"level":null}')
    assert not compare(schema, b'{"colour":"RED","level":2.0}')


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        (float, {"ge": 0.5, "le": 3.5}),
        (float, {"gt": -0.5, "ge": 1, "lt": 2.5, "le": 9}),
        (float, {"gt": 0.5}),
        (float, {"gt": 0, "ge": 0, "lt": 3, "le": 3}),
        (int, {"gt": 0, "ge": 0, "lt": 3, "le": 3}),
        (int, {"ge": 1, "lt": 3}),
        (int, {"gt": 0}),
    ],
)
def test_bounds_are_the_models(kind: type, bounds: dict[str, float]) -> None:
    field: Any = Field
    schema = read_input_model(create_model("Drawn", value=(kind, field(**bounds))))
    for value in (-1, 0, 1, 2, 3, 4, 0.5, 2.5, 3.5, math.nextafter(3.5, 4), math.nextafter(0.5, 0)):
        compare(schema, json.dumps({"value": value}).encode())


def test_a_number_beyond_float32_is_seen_as_infinite() -> None:
    packer = make_packer(read_input_model(create_model("Drawn", value=(float, ...))))
    assert packer is not None
    assert np.frombuffer(packer.pack(b'{"value":1e39}'), np.float32).tolist() == [math.inf]


def _reject(value: Any) -> Any:
    raise ValueError(f"{value} is not wanted")


class Checked(BaseModel):
    value: float

    @field_validator("value")
    @classmethod
    def check(cls, value: float) -> float:
        return value


class Whole(BaseModel):
    value: float

    @model_validator(mode="after")
    def check(self) -> Whole:
        return self


class Written(BaseModel):
    value: float

    @field_serializer("value")
    def write(self, value: float) -> str:
        return str(value)


class Prepared(BaseModel):
    value: float

    def model_post_init(self, _: Any) -> None:
        _reject(self.value)


class Constructed(BaseModel):
    value: float

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class Described(BaseModel):
    value: float

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler(source)


class Configured(BaseModel):
    model_config = ConfigDict(validate_default=True)
    value: float


class Inherited(Checked):
    other: float


class Even:
    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return handler(source)


class After(BaseModel):
    value: Annotated[float, AfterValidator(_reject)]


class Before(BaseModel):
    value: Annotated[float, BeforeValidator(_reject)] | None


class Element(BaseModel):
    value: list[Annotated[float, AfterValidator(_reject)]] = Field(min_length=1, max_length=1)


class Custom(BaseModel):
    value: Annotated[float, Even()]


class Predicated(BaseModel):
    value: Annotated[float, Predicate(math.isfinite)]


@pytest.mark.parametrize(
    "model",
    [
        Checked,
        Whole,
        Written,
        Prepared,
        Constructed,
        Described,
        Configured,
        Inherited,
        After,
        Before,
        Element,
        Custom,
        Predicated,
    ],
)
def test_a_model_with_code_of_its_user_is_always_asked_itself(model: type[BaseModel]) -> None:
    schema = read_input_model(model)
    assert make_packer(schema) is None
    assert isinstance(make_reader(schema, ModelReader(schema, Encoder(schema))), ModelReader)


def test_categories_of_two_types_and_odd_names_are_left_to_the_model() -> None:
    category: Any = Literal["a", 1]
    mixed = read_input_model(create_model("Drawn", value=(category, ...)))
    quoted = read_input_model(create_model("Drawn", **{'val"ue': (float, ...)}))  # type: ignore[call-overload]
    assert make_packer(mixed) is None
    assert make_packer(quoted) is None


def test_parts_of_several_bodies_make_one_matrix() -> None:
    encoder = Encoder(PENGUIN_SCHEMA)
    model = ModelReader(PENGUIN_SCHEMA, encoder)
    packer = make_packer(PENGUIN_SCHEMA)
    assert isinstance(packer, Packer)
    bodies = [json.dumps(PENGUIN | {"body_mass_g": mass}) for mass in (2000, 3000, 4000)]
    # The middle one is valid although the packer refuses it: only the last of two values of one name counts.
    odd = bodies[1].replace("{", '{"year": "no",', 1)
    batch = f'{{"rows": [{bodies[2]}, {bodies[0]}]}}'.encode()
    matrices = []
    readers: list[Reader] = [model, PackingReader(packer, model)]
    for reader in readers:
        part, count = reader.read_batch(batch)
        parts = [reader.read(bodies[0].encode()), reader.read(odd.encode()), part]
        matrices.append(reader.encode(parts, 2 + count))
    assert matrices[0].tobytes() == matrices[1].tobytes()
    assert matrices[1][:, 2].tolist() == [2000, 3000, 4000, 2000]

"""Validation errors described in FastAPI's shape and in words that lead to the cure."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, create_model, field_validator, model_validator
from pydantic_core import PydanticCustomError

from rookery.fields.expression import Rule, col
from rookery.fields.problems import describe_problems, echo, overflow_problem, rule_problem
from rookery.fields.schema import InputSchema, batch_model, read_input_model
from tests.fields.models import EVERYTHING, EVERYTHING_SCHEMA, PENGUIN, PENGUIN_SCHEMA, read


def problems(body: Any, schema: InputSchema = PENGUIN_SCHEMA, *, batch: bool = False, **options: Any) -> list[Any]:
    """Return the details a body gets; bytes are sent as they are, anything else as JSON."""
    model = batch_model(schema) if batch else schema.model
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json(body if isinstance(body, bytes) else json.dumps(body))
    details = describe_problems(caught.value, schema, **options)
    assert json.loads(json.dumps(details, allow_nan=False)) == details
    return details


def penguin(**changes: Any) -> dict[str, Any]:
    return {**PENGUIN, **changes}


def message(body: Any, schema: InputSchema = PENGUIN_SCHEMA, *, batch: bool = False) -> str:
    (detail,) = problems(body, schema, batch=batch)
    return str(detail["msg"])


def test_a_problem_has_fastapis_shape() -> None:
    assert problems(penguin(body_mass_g=3.75)) == [
        {
            "type": "greater_than_equal",
            "loc": ["body", "body_mass_g"],
            "msg": "body_mass_g=3.75 is below 1000 g; is it in kilograms?",
            "input": 3.75,
        }
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"body_mass_g": 9000}, "body_mass_g=9000 is above 8000 g"),
        ({"body_mass_g": -1}, "body_mass_g=-1 is below 1000 g"),
        ({"bill_depth_mm": 1.87}, "bill_depth_mm=1.87 is below 10 mm; is it in centimetres?"),
        ({"year": 1}, "year=1 is below 2000"),
        ({"year": "2007"}, "year='2007' is text: it takes a whole number, 2000 to 2100; write it without quotes"),
        ({"year": "soon"}, "year='soon' is text: it takes a whole number, 2000 to 2100"),
        ({"year": 2007.0}, "year=2007.0 is no whole number: it takes a whole number, 2000 to 2100; write 2007"),
        ({"year": 2007.5}, "year=2007.5 is no whole number: it takes a whole number, 2000 to 2100"),
        ({"year": True}, "year is true: it takes a whole number, 2000 to 2100"),
        ({"year": None}, "year is null: it takes a whole number, 2000 to 2100"),
        ({"year": [2007]}, "year is a list of 1: it takes a whole number, 2000 to 2100"),
        ({"body_mass_g": {"g": 1}}, "body_mass_g is an object: it takes a number, 1000 to 8000 g"),
        ({"body_mass_g": float("nan")}, "body_mass_g is no finite number"),
        ({"body_mass_g": 10**400}, "body_mass_g is no finite number"),
        (
            {"island": "Torgerson"},
            "island='Torgerson' is not one of 'Torgersen', 'Biscoe', 'Dream'; did you mean 'Torgersen'?",
        ),
        ({"island": "Atlantis"}, "island='Atlantis' is not one of 'Torgersen', 'Biscoe', 'Dream'"),
        ({"island": 3}, "island=3 is not one of 'Torgersen', 'Biscoe', 'Dream'"),
        ({"island": None}, "island is null: it takes one of 'Torgersen', 'Biscoe', 'Dream'"),
        ({"sex": "MALE"}, "sex='MALE' is not one of 'male', 'female'; did you mean 'male'?"),
        ({"bill_lenght_mm": 3}, "'bill_lenght_mm' is no field of Penguin; did you mean bill_length_mm?"),
        (
            {"zebra": 3},
            "'zebra' is no field of Penguin; it has bill_length_mm, bill_depth_mm, body_mass_g, year, sex, island",
        ),
        ({"rows": []}, "'rows' belongs to a batch, and this takes one input"),
    ],
)
def test_a_wrong_field_is_told_with_its_cure(changes: dict[str, Any], expected: str) -> None:
    assert message(penguin(**changes)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"flag": 1}, "flag=1 is a number: it takes true or false"),
        ({"flag": "true"}, "flag='true' is text: it takes true or false; write it without quotes"),
        ({"code": 9}, "code=9 is not one of 3, 1, 2"),
        ({"code": True}, "code=true is not one of 3, 1, 2"),
        ({"code": 1.0}, "code=1.0 is not one of 3, 1, 2; did you mean 1?"),
        ({"mixed": 8}, "mixed=8 is not one of 'x', 7"),
        ({"level": "2"}, "level='2' is not one of 1, 2; did you mean 2?"),
        ({"colour": "read"}, "colour='read' is not one of 'red', 'blue'; did you mean 'red'?"),
        ({"share": 0}, "share=0 is not above 0"),
        ({"share": 35}, "share=35 is not below 1; divided by 100 it would fit; is it in another unit?"),
        ({"count": 2**24 + 1}, "count=16777217 is above 16777216: beyond it, float32 does not hold every whole number"),
        ({"features": [1, 2]}, "features has 2 values: it takes 3"),
        ({"features": [1, 2, 3, 4]}, "features has 4 values: it takes 3"),
        ({"features": 5}, "features is 5: it takes a list of 3 numbers"),
        ({"features": None}, "features is null: it takes a list of 3 numbers"),
        ({"features": [1, "2", 3]}, "features[1]='2' is text: it takes a number, 0 to 10; write it without quotes"),
        ({"features": [1, 2, 30]}, "features[2]=30 is above 10; divided by 10 it would fit; is it in another unit?"),
        ({"pair": [1]}, "pair has 1 values: it takes 2"),
        ({"pair": [1, 2, 3]}, "pair has 3 values: it takes 2"),
        ({"pair": [1, 2.5]}, "pair[1]=2.5 is no whole number: it takes a whole number"),
    ],
)
def test_every_kind_of_column_has_its_words(changes: dict[str, Any], expected: str) -> None:
    assert message({**EVERYTHING, **changes}, EVERYTHING_SCHEMA) == expected


def test_missing_fields_say_what_they_take() -> None:
    lacking = {name: value for name, value in PENGUIN.items() if name != "body_mass_g"}
    (detail,) = problems(lacking)
    assert (detail["type"], detail["loc"]) == ("missing", ["body", "body_mass_g"])
    assert detail["msg"] == "body_mass_g is missing: it takes a number, 1000 to 8000 g"
    vectorless = {name: value for name, value in EVERYTHING.items() if name != "features"}
    assert message(vectorless, EVERYTHING_SCHEMA) == "features is missing: it takes a list of 3 numbers"


def test_swapped_values_are_recognised() -> None:
    """Length and depth exchanged: each is out of its own range and within the other's."""
    first, second = problems(penguin(bill_length_mm=18.7, bill_depth_mm=39.1))
    assert first["msg"] == "bill_length_mm=18.7 is below 20 mm; bill_length_mm and bill_depth_mm look swapped"
    assert second["msg"] == "bill_depth_mm=39.1 is above 30 mm; bill_length_mm and bill_depth_mm look swapped"


def test_values_that_would_not_fit_each_others_fields_are_not_called_swapped() -> None:
    """Both are out of range, and exchanging them would cure only one of them, or none."""
    for changes in ({"bill_length_mm": 18.7, "bill_depth_mm": 90}, {"bill_length_mm": 5, "bill_depth_mm": 40}):
        details = problems(penguin(**changes))
        assert len(details) == 2
        assert not any("swapped" in detail["msg"] for detail in details)


def test_values_of_different_rows_are_not_called_swapped() -> None:
    details = problems({"rows": [penguin(bill_length_mm=18.7), penguin(bill_depth_mm=39.1)]}, batch=True)
    assert not any("swapped" in detail["msg"] for detail in details)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body is no valid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"year": 2007', "the body is no valid JSON: EOF while parsing an object at line 1 column 13"),
        (b'{"year": \xff}', "the body is no valid JSON: expected value at line 1 column 10"),
        (b"[" * 10_000, "the body is no valid JSON: recursion limit exceeded at line 1"),
        (b"[]", "the body is a list of 0: it must be an object with the fields bill_length_mm, bill_depth_mm, "),
        (b"null", "the body is null: it must be an object with the fields"),
        (b'"\\ud800"', "the body is no valid JSON: unexpected end of hex escape at line 1 column 8"),
    ],
)
def test_bodies_that_are_no_object_are_told_with_the_position(body: bytes, expected: str) -> None:
    (detail,) = problems(body)
    assert detail["msg"].startswith(expected)
    assert detail["loc"] == ["body"]


def test_an_unreadable_body_is_not_echoed() -> None:
    (detail,) = problems(b'{"secret": ' + b"\xff" * 1000)
    assert detail["input"] is None
    assert detail["type"] == "json_invalid"


def test_a_bad_row_of_a_batch_is_named_by_its_index() -> None:
    details = problems({"rows": [PENGUIN, penguin(body_mass_g=3.75, extra=1), {}]}, batch=True)
    assert details[0]["loc"] == ["body", "rows", 1, "body_mass_g"]
    assert details[0]["msg"].endswith("is it in kilograms?")
    assert details[1]["msg"].startswith("'extra' is no field of Penguin")
    assert details[2]["loc"] == ["body", "rows", 2, "bill_length_mm"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 'rows is missing: a batch is {"rows": [...]}'),
        ({"rows": []}, "rows is empty: a batch has at least one row"),
        ({"rows": 5}, "rows is no list of inputs"),
        ({"rows": [PENGUIN], "more": 1}, "'more' is no field of a batch, which is {\"rows\": [...]}"),
        ([PENGUIN], 'the body is a list of 1: a batch is {"rows": [...]}'),
        ({"rows": [PENGUIN, 5]}, "row 1 is 5: it must be an object with the fields bill_length_mm"),
    ],
)
def test_a_body_that_is_no_batch_is_told(body: Any, expected: str) -> None:
    assert message(body, batch=True).startswith(expected)


def test_a_field_called_rows_is_no_batch() -> None:
    schema = read_input_model(create_model("M", rows=(list[float], Field(min_length=2, max_length=2))))
    (detail,) = problems({"rows": [1, "2"]}, schema)
    assert (detail["loc"], detail["msg"]) == (
        ["body", "rows", 1],
        "rows[1]='2' is text: it takes a number; write it without quotes",
    )
    (detail,) = problems({"rows": [{"rows": [1, "2"]}]}, schema, batch=True)
    assert detail["loc"] == ["body", "rows", 0, "rows", 1]
    assert detail["msg"].startswith("rows[1]='2' is text")


def test_many_problems_are_capped_with_their_number() -> None:
    rows = [penguin(body_mass_g=1)] * 25
    details = problems({"rows": rows}, batch=True)
    assert len(details) == 21
    assert details[-1] == {
        "type": "more_problems",
        "loc": ["body"],
        "msg": "and 5 more problems like these",
        "input": None,
    }
    assert problems({"rows": rows}, batch=True, limit=24)[-1]["msg"] == "and 1 more problem like these"
    assert len(problems({"rows": rows}, batch=True, limit=25)) == 25


def test_the_prefix_is_the_callers() -> None:
    assert problems(penguin(year=1), prefix=())[0]["loc"] == ["year"]
    assert problems(penguin(year=1), prefix=("file", 7))[0]["loc"] == ["file", 7, "year"]


class Checked(BaseModel):
    low: float
    high: float
    kind: Literal["a", "b"] = "a"

    @field_validator("high")
    @classmethod
    def _no_thirteen(cls, value: float) -> float:
        if value == 13:
            raise ValueError("thirteen\nbrings bad luck")
        if value == 14:
            raise PydanticCustomError("superstition", "fourteen is no better")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Checked:
        if self.low > self.high:
            raise AssertionError("low exceeds high")
        return self


def test_messages_of_the_users_own_validators_are_kept() -> None:
    schema = read_input_model(Checked)
    assert message({"low": 1, "high": 13}, schema) == "thirteen brings bad luck"
    assert message({"low": 1, "high": 14}, schema) == "high: fourteen is no better"
    (detail,) = problems({"low": 3, "high": 2}, schema)
    assert detail == {
        "type": "assertion_error",
        "loc": ["body"],
        "msg": "low exceeds high",
        "input": {"low": 3, "high": 2},
    }


@pytest.mark.parametrize(
    ("value", "echoed"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**64, "an integer of 65 bits"),
        (-(2**62), -(2**62)),
        (b"\xffab", "�ab"),
        ("\ud800ab", "?ab"),
        ("x" * 300, "x" * 200 + "…"),
        (list(range(12)), [*range(10), "…"]),
        ([[[["deep"]]]], [[["[…]"]]]),
        ({"a": {"b": {"c": {"d": 1}}}}, {"a": {"b": {"c": "{…}"}}}),
        ({"k" * 300: None}, {"k" * 200 + "…": None}),
        (True, True),
    ],
)
def test_echoed_values_are_small_and_strict_json(value: Any, echoed: Any) -> None:
    assert echo(value) == echoed


def test_locations_made_by_the_client_are_cut() -> None:
    detail = problems(penguin(**{"x" * 10_000: 1, "ordinary": 2}))[0]
    assert len(json.dumps(detail)) < 1000


@settings(deadline=None)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=5),
            st.dictionaries(st.one_of(st.sampled_from(["rows", *PENGUIN]), st.text()), inner, max_size=8),
        ),
        max_leaves=20,
    ),
    st.booleans(),
)
def test_any_json_that_is_refused_gets_strict_details_of_bounded_size(body: Any, batch: bool) -> None:
    model = batch_model(PENGUIN_SCHEMA) if batch else PENGUIN_SCHEMA.model
    try:
        model.model_validate_json(json.dumps(body))
    except ValidationError as error:
        details = describe_problems(error, PENGUIN_SCHEMA)
        assert details
        assert len(json.dumps(details, allow_nan=False).encode()) < 60_000
        for detail in details:
            assert set(detail) == {"type", "loc", "msg", "input"}
            assert detail["msg"]
            assert "\n" not in detail["msg"]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_that_are_refused_get_strict_details(body: bytes) -> None:
    with pytest.raises(ValidationError) as caught:
        PENGUIN_SCHEMA.model.model_validate_json(body)
    json.dumps(describe_problems(caught.value, PENGUIN_SCHEMA), allow_nan=False).encode()


ORDER = Rule(col("bill_depth_mm") <= col("bill_length_mm"), "a bill cannot be deeper than long")


def test_a_rule_between_fields_blames_the_row_and_shows_their_values() -> None:
    expected = {
        "type": "rule",
        "loc": ["body"],
        "msg": "a bill cannot be deeper than long",
        "input": {"bill_depth_mm": 25, "bill_length_mm": 21},
    }
    values = penguin(bill_length_mm=21, bill_depth_mm=25)
    assert rule_problem(ORDER, values, ("body",)) == expected
    assert rule_problem(ORDER, read(PENGUIN_SCHEMA, values)) == {**expected, "loc": []}


def test_a_rule_that_blames_one_field_is_located_there() -> None:
    rule = Rule(ORDER.condition, ORDER.message, fields=("bill_depth_mm",))
    detail = rule_problem(rule, PENGUIN, ("body", "rows", 3))
    assert (detail["loc"], detail["input"]) == (["body", "rows", 3, "bill_depth_mm"], 18.7)


def test_a_rule_over_a_vectors_elements_blames_the_vector() -> None:
    rule = Rule(col("features[0]") <= col("features[1]"), "not sorted")
    detail = rule_problem(rule, {"features": [2, 1, 3]})
    assert (detail["loc"], detail["input"]) == (["features"], [2, 1, 3])


def test_a_number_too_large_for_float32_is_named() -> None:
    schema = read_input_model(
        create_model("M", a=(float, ...), v=(list[float | None], Field(min_length=2, max_length=2)))
    )
    detail = overflow_problem(schema, {"a": -1e300, "v": [1, 2]}, ("body",))
    assert detail == {
        "type": "float32_overflow",
        "loc": ["body", "a"],
        "msg": "a=-1e+300 is too large: models compute up to 3.40e+38",
        "input": -1e300,
    }
    nested = overflow_problem(schema, read(schema, {"a": 1, "v": [None, 1e39]}))
    assert (nested["loc"], nested["input"]) == (["v", 1], 1e39)
    assert overflow_problem(schema, {"a": 1, "v": [1, 2]})["msg"] == "a number is too large"

"""Input models with a picture: what is read from them, what is refused, and what the API's document says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from rookery.errors import DefinitionError
from rookery.fields.pictures.schema import (
    LARGEST_TABLE,
    describe_picture_input,
    parse_parameters,
    read_service_input,
    rebuild_picture_schema,
)
from rookery.fields.pictures.spec import Image
from rookery.fields.schema import PictureField

SMALL = Image(width=3, height=2, mode="L", fit="trace")


class Request(BaseModel):
    """A picture between its parameters."""

    level: int = Field(5, ge=1, le=9, description="How hard to look")
    image: Annotated[bytes, Image()] = Field(description="A photograph")
    method: Literal["fast", "good"] = "fast"


class Drawing(BaseModel):
    image: Annotated[bytes, SMALL]


def with_picture(annotation: Any, **fields: Any) -> type[BaseModel]:
    """Return a model whose field `image` has such a type."""
    return create_model("Made", image=(annotation, ...), **fields)


def test_a_model_without_a_picture_is_a_row_of_columns() -> None:
    schema = read_service_input(create_model("Row", size=(float, ...)))
    assert schema.picture is None
    assert [column.name for column in schema.columns] == ["size"]


def test_the_fields_beside_a_picture_are_parameters_and_no_columns() -> None:
    schema = read_service_input(Request)
    assert schema.columns == ()
    picture = schema.picture
    assert picture is not None
    assert (picture.name, picture.image, picture.description) == ("image", Image(), "A photograph")
    assert picture.parameters is not None
    assert [column.field for column in picture.parameters.columns] == ["level", "method"]


def test_pixels_become_columns_in_reading_order_for_estimators() -> None:
    schema = read_service_input(Drawing, pixels=True)
    assert [column.name for column in schema.columns] == [f"image[{at}]" for at in range(6)]
    assert {(column.minimum, column.maximum) for column in schema.columns} == {(0.0, 255.0)}
    assert schema.picture is not None
    assert schema.picture.parameters is None


@pytest.mark.parametrize(
    ("model", "pixels", "message"),
    [
        (with_picture(Annotated[bytes, Image()], other=(Annotated[bytes, Image()], ...)), False, "pictures image, oth"),
        (with_picture(Annotated[str, Image()]), False, "another type than bytes"),
        (with_picture(Annotated[bytes | None, Image()]), False, "another type than bytes"),
        (with_picture(Annotated[bytes, Image(), Image()]), False, "another type than bytes"),
        (create_model("Made", image=(Annotated[bytes, Image()], b"")), False, "has a default"),
        (with_picture(Annotated[bytes, Image()], sizes=(list[float], ...)), False, "sizes"),
        (with_picture(Annotated[bytes, Image()], text=(str, "x")), False, "text"),
        (with_picture(Annotated[bytes, Image()]), True, "no fixed size"),
        (with_picture(Annotated[bytes, Image(width=64, height=65, mode="L")]), True, f"at most {LARGEST_TABLE}"),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(model: type[BaseModel], pixels: bool, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        read_service_input(model, pixels=pixels)


@pytest.mark.parametrize("model", [Request, Drawing])
def test_a_schema_is_rebuilt_from_its_parts(model: type[BaseModel]) -> None:
    schema = read_service_input(model, pixels=model is Drawing)
    picture = schema.picture
    assert picture is not None
    parameters = () if picture.parameters is None else picture.parameters.columns
    bare = PictureField(picture.name, picture.image, description=picture.description)
    again = rebuild_picture_schema(model.__name__, bare, schema.columns, parameters)
    assert again.columns == schema.columns
    assert describe_picture_input(again)["properties"].keys() == describe_picture_input(schema)["properties"].keys()


def test_a_columnless_row_takes_no_fields() -> None:
    """What is no picture has no business in a body of JSON."""
    with pytest.raises(ValueError, match="Extra inputs"):
        read_service_input(Request).model.model_validate({"level": 3})


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        ({"level": "3"}, {"level": 3}),
        ({"level": " +3 "}, {"level": 3}),
        ({"level": "2.5"}, {"level": 2.5}),
        ({"level": "five"}, {"level": "five"}),
        ({"level": ".5e1"}, {"level": 5.0}),
        ({"level": "٣"}, {"level": "٣"}),
        ({"level": "1_0"}, {"level": "1_0"}),
        ({"level": "nan"}, {"level": "nan"}),
        ({"level": "1e999"}, {"level": "1e999"}),
        ({"method": " good "}, {"method": "good"}),
        ({"method": "bad"}, {"method": "bad"}),
        ({"other": "1"}, {"other": "1"}),
    ],
)
def test_texts_become_what_their_fields_are_or_stay_to_be_refused(texts: dict[str, str], values: Any) -> None:
    picture = read_service_input(Request).picture
    assert picture is not None
    assert picture.parameters is not None
    assert parse_parameters(picture.parameters, texts) == values


def test_the_document_says_binary_required_and_nothing_more() -> None:
    document = describe_picture_input(read_service_input(Request))
    assert document["properties"]["image"] == {
        "type": "string",
        "contentMediaType": "image/*",
        "format": "binary",
        "description": "A photograph",
    }
    assert document["properties"]["level"]["maximum"] == 9
    assert (document["required"], document["additionalProperties"]) == (["image"], False)
    with pytest.raises(ValueError, match="no picture"):
        describe_picture_input(read_service_input(create_model("Row", size=(float, ...))))

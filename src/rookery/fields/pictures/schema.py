"""Picture inputs: a pydantic model with one `Image` field, read as a picture and its parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from rookery.errors import DefinitionError
from rookery.fields.annotations import unwrap
from rookery.fields.columns import Column
from rookery.fields.pictures.spec import Image
from rookery.fields.schema import InputSchema, PictureField, read_input_model, rebuild_schema

LARGEST_TABLE = 4_096
"""Pixels (times channels) that may become columns: estimators of tables are no way to read larger pictures."""

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""As JSON and people write numbers: `float` alone would read `1_000` and other scripts' digits, too."""
_TRUTHS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def read_service_input(model: type[BaseModel], *, pixels: bool = False) -> InputSchema:
    """Read an input model, whether it is a row of columns or has a picture.

    A picture is a field `Annotated[bytes, Image(...)]`; the fields beside it are parameters of the request, which
    change the answer and are no columns. With `pixels` the picture's pixels are columns, `image[0]` and so on in
    reading order, so that estimators can be fitted on them.

    Raises:
        DefinitionError: the model has several pictures, or fields that can be neither columns nor parameters.
    """
    images = _find_images(model)
    if not images:
        return read_input_model(model)
    if len(images) > 1:
        raise DefinitionError(f"{model.__name__} has the pictures {', '.join(images)}", cure="Leave one of them")
    ((name, image),) = images.items()
    if not model.model_fields[name].is_required():
        raise DefinitionError(f"{model.__name__}.{name} has a default", cure="A picture is always sent: drop it")
    description = model.model_fields[name].description or ""
    picture = PictureField(name, image, _read_parameters(model, name), description)
    return _with_picture(model.__name__, picture, _pixel_columns(picture) if pixels else ())


def rebuild_picture_schema(
    title: str, picture: PictureField, columns: tuple[Column, ...], parameters: tuple[Column, ...]
) -> InputSchema:
    """Make the schema that a manifest's entries describe; its parameters are those that `parameters` lists.

    Raises:
        DefinitionError: the columns contradict themselves or each other.
    """
    schema = rebuild_schema("Parameters", parameters) if parameters else None
    complete = PictureField(picture.name, picture.image, schema, picture.description)
    return _with_picture(title, complete, columns)


def _with_picture(title: str, picture: PictureField, columns: tuple[Column, ...]) -> InputSchema:
    if columns:
        rows = rebuild_schema(title, columns)
        return InputSchema(rows.model, rows.columns, picture)
    return InputSchema(create_model(title, __config__=ConfigDict(extra="forbid")), (), picture)


def _find_images(model: Any) -> dict[str, Image]:
    """Return the picture fields of a model; what is no model has none, and is refused where columns are read."""
    images: dict[str, Image] = {}
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return images
    for name, field in model.model_fields.items():
        declared = unwrap(field.annotation, tuple(field.metadata))
        specs = [entry for entry in declared.metadata if isinstance(entry, Image)]
        if not specs:
            continue
        if declared.bare is not bytes or declared.optional or len(specs) > 1:
            raise DefinitionError(
                f"{model.__name__}.{name} is a picture of another type than bytes",
                cure=f"Declare it {name}: Annotated[bytes, Image(...)]",
            )
        images[name] = specs[0]
    return images


def _read_parameters(model: type[BaseModel], picture: str) -> InputSchema | None:
    """Return the schema of the fields beside the picture; None when there are none."""
    others: dict[str, Any] = {
        name: (field.annotation, field) for name, field in model.model_fields.items() if name != picture
    }
    if not others:
        return None
    schema = read_input_model(create_model(model.__name__, **others))
    for column in schema.columns:
        if column.element is not None:
            raise DefinitionError(f"{model.__name__}.{column.field} is a list", cure="Parameters are single values")
    return schema


def _pixel_columns(picture: PictureField) -> tuple[Column, ...]:
    shape = picture.image.shape
    if shape is None:
        raise DefinitionError(
            f"the picture {picture.name!r} has no fixed size, so its pixels are no columns",
            cure="Give Image(width=…, height=…)",
        )
    count = math.prod(shape)
    if count > LARGEST_TABLE:
        raise DefinitionError(
            f"the picture {picture.name!r} has {count} pixel values; at most {LARGEST_TABLE} can be columns",
            cure="Make it smaller, or bring a pretrained graph instead of candidates",
        )
    return tuple(
        Column(name=f"{picture.name}[{at}]", field=picture.name, kind="number", element=at, minimum=0.0, maximum=255.0)
        for at in range(count)
    )


def parse_parameters(schema: InputSchema, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return a form's texts as the JSON values that their fields expect; what fits none stays a text, to be refused."""
    columns = {column.field: column for column in schema.columns}
    return {name: _parse(columns[name], text) if name in columns else text for name, text in texts.items()}


def _parse(column: Column, text: str) -> Any:
    plain = text.strip()
    if column.optional and plain.lower() in ("", "null", "none"):
        return None
    if column.kind == "boolean":
        return _TRUTHS.get(plain.lower(), text)
    if column.kind == "category":
        return next((category for category in column.categories if str(category) == plain), text)
    if _INTEGER.fullmatch(plain):
        return int(plain)
    # A fraction for a whole number is refused as a number, not as a text.
    if column.kind in ("integer", "number") and _NUMBER.fullmatch(plain):
        number = float(plain)
        return number if math.isfinite(number) else text
    return text


def describe_picture_input(schema: InputSchema) -> dict[str, Any]:
    """Return the JSON Schema of a request's form: the picture as binary, and the parameters."""
    picture = schema.picture
    if picture is None:
        raise ValueError("the schema has no picture")
    parameters = {} if picture.parameters is None else picture.parameters.json_schema()
    text = picture.description or f"A picture: {picture.image.accepted}"
    image = {"type": "string", "contentMediaType": "image/*", "format": "binary", "description": text}
    document: dict[str, Any] = {
        "type": "object",
        "title": schema.model.__name__,
        "properties": {picture.name: image, **parameters.get("properties", {})},
        "required": [picture.name, *parameters.get("required", [])],
        "additionalProperties": False,
    }
    if "$defs" in parameters:
        document["$defs"] = parameters["$defs"]
    return document

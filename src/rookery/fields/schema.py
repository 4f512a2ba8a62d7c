"""`InputSchema`: an ordinary pydantic model, read as the columns of a float32 matrix."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, create_model

from rookery.fields.annotations import read_columns
from rookery.fields.columns import Column, bound_integer
from rookery.fields.pictures.spec import Image
from rookery.fields.strict import STRICT, build_model, strict_model


@dataclass(frozen=True, slots=True, eq=False)
class PictureField:
    """The field of an input model that holds a picture, and the parameters that are sent beside it."""

    name: str
    image: Image
    parameters: InputSchema | None = None
    """The fields beside the picture; None when there are none."""
    description: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class InputSchema:
    """A strict input model and the columns its values become."""

    model: type[BaseModel]
    """The user's model, made strict: unknown fields, NaN, infinities and coerced types are refused.

    Of an input with a picture it holds the pixels alone, as training rows spell them; requests send the picture.
    """
    columns: tuple[Column, ...]
    picture: PictureField | None = None
    """The picture that requests send; its pixels are the columns, or there are none and a tensor takes their place."""

    @property
    def width(self) -> int:
        """The number of columns, which is the length of a row."""
        return len(self.columns)

    def json_schema(self) -> dict[str, Any]:
        """Return the input's JSON Schema, as API documentation and manifests show it."""
        return self.model.model_json_schema()


def read_input_model(model: type[BaseModel]) -> InputSchema:
    """Read a pydantic model as columns.

    Numbers, integers, booleans, `Literal` and `Enum` of strings or integers, optional ones of these, and lists
    or tuples of a fixed length of numbers become columns, in the order of the fields. An integer without bounds of
    its own is bounded by ±2**24, beyond which float32 is inexact.

    Raises:
        DefinitionError: a field's type cannot become columns, or two columns would share a name.
    """
    columns = read_columns(model)
    return InputSchema(strict_model(model, columns), columns)


def rebuild_schema(name: str, columns: Sequence[Column]) -> InputSchema:
    """Make the strict input model that a manifest's columns describe (a package without its service's Python).

    It accepts and refuses the same JSON as the model the columns were read from, apart from validators that the
    service wrote in Python.

    Raises:
        DefinitionError: the columns contradict themselves or each other.
    """
    bounded = tuple(bound_integer(column) for column in columns)
    return InputSchema(build_model(name, bounded), bounded)


def batch_model(schema: InputSchema) -> type[BaseModel]:
    """Return the model of a batch, `{"rows": [...]}`, with at least one row; the caller caps their number."""
    rows = list[schema.model]  # type: ignore[name-defined]
    description = "The inputs, one prediction each"
    return create_model(
        batch_name(schema),
        __config__=STRICT,
        rows=(rows, Field(min_length=1, description=description)),
    )


def batch_name(schema: InputSchema) -> str:
    """Return the name of the batch model, by which its errors are told from those of single inputs."""
    return f"{schema.model.__name__}Batch"


def schema_digest(columns: Sequence[Column]) -> str:
    """Return the SHA-256 of what decides how inputs are validated and encoded; documentation is left out."""
    facts = [
        {
            "name": column.name,
            "kind": column.kind,
            "categories": column.categories,
            "optional": column.optional,
            "default": column.default,
            "required": column.required,
            "bounds": [column.minimum, column.maximum, column.exclusive_minimum, column.exclusive_maximum],
        }
        for column in columns
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

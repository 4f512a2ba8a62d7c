"""Strict models: a user's pydantic model tightened, or made anew from columns."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from rookery.errors import DefinitionError
from rookery.fields.annotations import unwrap
from rookery.fields.columns import LARGEST_INTEGER, Column, find_fault

STRICT = ConfigDict(
    extra="forbid",
    strict=True,
    allow_inf_nan=False,
    defer_build=False,
    hide_input_in_errors=False,
    protected_namespaces=(),
)
"""What no input model may loosen."""


class ExactCategory:
    """Metadata: in JSON, a category of whole numbers is spelt 2, neither 2.0 nor true."""

    def __init__(self, column: Column) -> None:
        kinds: list[CoreSchema] = []
        if any(isinstance(category, int) for category in column.categories):
            kinds.append(core_schema.int_schema(strict=True))
        if any(isinstance(category, str) for category in column.categories):
            kinds.append(core_schema.str_schema(strict=True))
        kind = kinds[0] if len(kinds) == 1 else core_schema.union_schema(list(kinds))
        self._kind = core_schema.nullable_schema(kind) if column.optional else kind

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        category = handler(source)
        exact = core_schema.chain_schema([self._kind, category])
        return core_schema.json_or_python_schema(json_schema=exact, python_schema=category)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema["python_schema"])


def strict_model(model: type[BaseModel], columns: Sequence[Column]) -> type[BaseModel]:
    """Return a subclass of the model that refuses unknown fields, coercions, NaN, infinities and inexact integers."""
    namespace: dict[str, Any] = {}
    annotations: dict[str, Any] = {}
    for name, group in groupby(columns, key=lambda column: column.field):
        own = list(group)
        field = copy.copy(model.model_fields[name])
        annotation = field.annotation
        if own[0].element is not None:
            field.annotation = annotation = _tighten_elements(annotation, own)
        elif added := _added_metadata(own[0]):
            field.metadata = [*added, *field.metadata]
        else:
            continue
        namespace[name], annotations[name] = field, annotation
    make: Any = type(model)
    body = {
        "__module__": model.__module__,
        "__qualname__": model.__qualname__,
        "__doc__": model.__doc__,
        "__annotations__": annotations,
        "model_config": STRICT,
        **namespace,
    }
    with _any_field_names():
        strict: type[BaseModel] = make(model.__name__, (model,), body)
    return strict


@contextmanager
def _any_field_names() -> Iterator[None]:
    """Let a field be called `copy` or `schema`: it hides a method of BaseModel that nothing here calls."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*shadows an attribute.*")
        yield


def _added_metadata(column: Column) -> list[Any]:
    if column.kind == "integer":
        return _integer_limits(column)
    if any(isinstance(category, int) for category in column.categories):
        return [ExactCategory(column)]
    return []


def _integer_limits(column: Column) -> list[Any]:
    """Return the limits that `read_columns` added to a whole number without bounds of its own."""
    limits: list[Any] = []
    if column.minimum == -LARGEST_INTEGER:
        limits.append(annotated_types.Ge(-LARGEST_INTEGER))
    if column.maximum == LARGEST_INTEGER:
        limits.append(annotated_types.Le(LARGEST_INTEGER))
    return limits


def _tighten_elements(annotation: Any, columns: Sequence[Column]) -> Any:
    bare = unwrap(annotation).bare
    arguments = [argument for argument in get_args(bare) if argument is not Ellipsis]
    tightened = []
    for argument, column in zip(arguments, columns, strict=False):
        limits = _integer_limits(column) if column.kind == "integer" else []
        tightened.append(Annotated[(argument, *limits)] if limits else argument)
    if get_origin(bare) is list:
        return list[tightened[0]]  # type: ignore[valid-type]
    if Ellipsis in get_args(bare):
        return tuple[tightened[0], ...]  # type: ignore[valid-type]
    return tuple[tuple(tightened)]  # type: ignore[misc]


def build_model(name: str, columns: Sequence[Column]) -> type[BaseModel]:
    """Make the strict model that columns describe.

    Raises:
        DefinitionError: the columns contradict themselves or each other.
    """
    _check_columns(columns)
    fields: dict[str, Any] = {}
    for field, group in groupby(columns, key=lambda column: column.field):
        own = list(group)
        fields[field] = _scalar_field(own[0]) if own[0].element is None else _vector_field(own)
    with _any_field_names():
        return create_model(name, __config__=STRICT, **fields)


def _check_columns(columns: Sequence[Column]) -> None:
    if not columns:
        raise DefinitionError("an input model needs at least one column")
    names = {column.name for column in columns}
    fields = [field for field, _ in groupby(columns, key=lambda column: column.field)]
    if len(names) < len(columns) or len(set(fields)) < len(fields):
        raise DefinitionError("two columns share a name, or a field's columns are not side by side")
    for field, group in groupby(columns, key=lambda column: column.field):
        own = list(group)
        elements = [column.element for column in own]
        if elements != [None] and elements != list(range(len(own))):
            raise DefinitionError(f"the elements of {field!r} are not numbered 0 to {len(own) - 1}")
        if len({column.required for column in own}) > 1:
            raise DefinitionError(f"some elements of {field!r} have a default and some have none")
        for column in own:
            if fault := find_fault(column):
                raise DefinitionError(fault[0], cure=fault[1])


def _annotation_of(column: Column) -> Any:
    """Return the type with its bounds, and None where that is allowed."""
    if column.kind == "category":
        annotation: Any = Literal[column.categories]
        annotation = annotation | None if column.optional else annotation
        added = _added_metadata(column)
        return Annotated[(annotation, *added)] if added else annotation
    bare = {"number": float, "integer": int, "boolean": bool}[column.kind]
    bounds = [
        kind(_plain_bound(column, bound))
        for kind, bound in (
            (annotated_types.Ge, column.minimum),
            (annotated_types.Gt, column.exclusive_minimum),
            (annotated_types.Le, column.maximum),
            (annotated_types.Lt, column.exclusive_maximum),
        )
        if bound is not None
    ]
    annotation = Annotated[(bare, *bounds)] if bounds else bare
    return annotation | None if column.optional else annotation


def _plain_bound(column: Column, bound: float) -> float:
    return int(bound) if column.kind == "integer" and float(bound).is_integer() else float(bound)


def _scalar_field(column: Column) -> tuple[Any, Any]:
    default = ... if column.required else column.default
    examples = None if column.example is None else [column.example]
    return _annotation_of(column), _documented(column, default, examples)


def _vector_field(columns: Sequence[Column]) -> tuple[Any, Any]:
    annotations = [_annotation_of(column) for column in columns]
    default = ... if columns[0].required else [column.default for column in columns]
    examples = None
    if any(column.example is not None for column in columns):
        examples = [[column.example for column in columns]]
    alike = {(c.kind, c.optional, c.minimum, c.maximum, c.exclusive_minimum, c.exclusive_maximum) for c in columns}
    if len(alike) > 1:
        return tuple[tuple(annotations)], _documented(columns[0], default, examples)  # type: ignore[misc]
    length = len(columns)
    sized = Annotated[list[annotations[0]], annotated_types.Len(length, length)]  # type: ignore[valid-type]
    return sized, _documented(columns[0], default, examples)


def _documented(column: Column, default: Any, examples: list[Any] | None) -> Any:
    extra = dict(column.extra) | ({"unit": column.unit} if column.unit is not None else {})
    return Field(
        default,
        title=column.title,
        description=column.description,
        examples=examples,
        json_schema_extra=extra or None,
    )

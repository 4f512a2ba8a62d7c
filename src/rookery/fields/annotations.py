"""Annotations: a pydantic model's fields read as columns.

Only here are Python types interpreted; whatever a column cannot hold is refused, because a package must be able
to validate and encode inputs from its columns alone.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, Flag
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from rookery.errors import DefinitionError
from rookery.fields.columns import Column, ColumnKind, bound_integer, find_fault

ALLOWED = (
    "Allowed are float, int, bool, Literal or Enum of texts or whole numbers, any of these with None, "
    "and lists or tuples of numbers with a fixed length"
)

_BOUNDS = {
    annotated_types.Ge: ("ge", "minimum"),
    annotated_types.Gt: ("gt", "exclusive_minimum"),
    annotated_types.Le: ("le", "maximum"),
    annotated_types.Lt: ("lt", "exclusive_maximum"),
}
_NUMBER_KINDS: dict[Any, ColumnKind] = {float: "number", int: "integer", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class _Type:
    """An annotation without its wrappers: the bare type, whether None is allowed, and all of its metadata."""

    bare: Any
    optional: bool
    metadata: tuple[Any, ...]


def read_columns(model: type[BaseModel]) -> tuple[Column, ...]:
    """Read every field of a pydantic model as one column, or as one per element of a vector.

    Raises:
        DefinitionError: a field that columns cannot hold; the message names it and what is allowed.
    """
    _check_model(model)
    columns = [column for name, field in model.model_fields.items() for column in _read_field(model, name, field)]
    names = [column.name for column in columns]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise DefinitionError(
            f"{model.__name__}: two fields become the column {doubles[0]!r}", cure="Rename one of the two fields"
        )
    return tuple(columns)


def _check_model(model: Any) -> None:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise DefinitionError(
            f"{model!r:.100} is no pydantic model", cure="Declare the inputs as a class derived from pydantic.BaseModel"
        )
    if issubclass(model, RootModel):
        raise DefinitionError(f"{model.__name__} is a RootModel and has no fields", cure="Derive from BaseModel")
    if not model.model_rebuild(raise_errors=False) and not model.__pydantic_complete__:
        raise DefinitionError(
            f"{model.__name__} refers to types that are not defined", cure="Define them at module level, above it"
        )
    if not model.model_fields:
        raise DefinitionError(f"{model.__name__} has no fields", cure="Declare at least one input field")
    if model.model_config.get("alias_generator"):
        raise DefinitionError(
            f"{model.__name__} generates aliases", cure="Name the fields as requests spell them; drop alias_generator"
        )


def _read_field(model: type[BaseModel], name: str, field: FieldInfo) -> list[Column]:
    where = f"{model.__name__}.{name}"
    if field.alias or field.validation_alias:
        raise DefinitionError(f"{where} has an alias", cure="Name the field as requests spell it; drop the alias")
    if field.default_factory is not None:
        raise DefinitionError(
            f"{where} has a default_factory, which a package cannot hold", cure="Give the value: Field(default=…)"
        )
    unwrapped = unwrap(field.annotation, tuple(field.metadata))
    shared = _read_documentation(where, field)
    if get_origin(unwrapped.bare) in (list, tuple) or unwrapped.bare in (list, tuple):
        columns = _read_vector(where, name, field, unwrapped, shared)
    else:
        column = _read_scalar(where, Column(name=name, field=name, kind="number", **shared), unwrapped)
        columns = [_with_values(column, field, _first_example(field))]
    for column in columns:
        fault = find_fault(column)
        if fault:
            raise DefinitionError(f"{where}: {fault[0]}", cure=fault[1])
    return columns


def unwrap(annotation: Any, metadata: tuple[Any, ...] = ()) -> _Type:
    """Strip `Annotated`, `Optional`, type aliases and `NewType` from an annotation."""
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *inner = get_args(annotation)
            metadata = (*inner, *metadata)
        elif origin in (Union, types.UnionType):
            members = [member for member in get_args(annotation) if member is not types.NoneType]
            if len(members) == len(get_args(annotation)) or len(members) != 1:
                return _Type(annotation, optional, tuple(_flatten(metadata)))
            annotation, optional = members[0], True
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):
            annotation = annotation.__value__
        else:
            return _Type(annotation, optional, tuple(_flatten(metadata)))


def _flatten(metadata: Sequence[Any]) -> Iterator[Any]:
    """Yield single constraints out of `Field(...)`, `Interval`, `Len` and their like."""
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            yield from _flatten(entry.metadata)
        elif isinstance(entry, annotated_types.GroupedMetadata):
            yield from _flatten(list(entry))
        else:
            yield entry


def _read_scalar(where: str, column: Column, read: _Type) -> Column:
    """Return the column with the kind, categories and bounds of an annotation."""
    column = replace(column, optional=read.optional)
    bounds = _read_bounds(where, read.metadata)
    if read.bare in _NUMBER_KINDS:
        column = replace(column, kind=_NUMBER_KINDS[read.bare])
    elif get_origin(read.bare) is Literal:
        values = _literal_values(read.bare)
        column = replace(column, kind="category", optional=read.optional or None in values)
        column = replace(column, categories=tuple(value for value in values if value is not None))
    elif isinstance(read.bare, type) and issubclass(read.bare, Enum) and not issubclass(read.bare, Flag):
        column = replace(column, kind="category", categories=tuple(member.value for member in read.bare))
    else:
        raise DefinitionError(f"{where}: {_spell(read.bare)} cannot become a column", cure=_cure_type(read.bare))
    return bound_integer(replace(column, **bounds))


def _literal_values(annotation: Any) -> list[Any]:
    values: list[Any] = []
    for value in get_args(annotation):
        nested = unwrap(value).bare
        values += _literal_values(nested) if get_origin(nested) is Literal else [value]
    return [value.value if isinstance(value, Enum) else value for value in values]


def _read_bounds(where: str, metadata: Sequence[Any]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for entry in metadata:
        for kind, (keyword, attribute) in _BOUNDS.items():
            if isinstance(entry, kind):
                value = getattr(entry, keyword)
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                    raise DefinitionError(f"{where}: the bound {keyword}={value!r} is no finite number")
                if attribute in bounds:
                    raise DefinitionError(f"{where} declares {keyword} twice", cure="Declare each bound once")
                bounds[attribute] = float(value)
        _check_constraint(where, entry)
    return bounds


def _check_constraint(where: str, entry: Any) -> None:
    """Refuse constraints that columns cannot hold, and those that would loosen validation."""
    general = vars(entry) if hasattr(entry, "__dict__") else {}
    if isinstance(entry, annotated_types.MultipleOf) or general.get("multiple_of") is not None:
        raise DefinitionError(f"{where}: multiple_of cannot be held by a column", cure="Use int, or declare a Rule")
    if getattr(entry, "strict", None) is False:
        raise DefinitionError(f"{where} asks for strict=False", cure="Drop it: inputs are never coerced")
    if getattr(entry, "allow_inf_nan", None) is True:
        raise DefinitionError(f"{where} allows NaN and infinities", cure="Drop it; missing values are None")


def _read_vector(where: str, name: str, field: FieldInfo, read: _Type, shared: dict[str, Any]) -> list[Column]:
    if read.optional:
        raise DefinitionError(
            f"{where}: a vector cannot be missing as a whole", cure="Allow missing elements: list[float | None]"
        )
    elements = _element_annotations(where, read)
    default = None if field.is_required() else field.default
    example = _first_example(field)
    for what, values in (("default", default), ("example", example)):
        if values is not None and (not isinstance(values, (list, tuple)) or len(values) != len(elements)):
            raise DefinitionError(f"{where}: the {what} {values!r:.100} is no list of {len(elements)} numbers")
    if default is None and not field.is_required():
        raise DefinitionError(f"{where}: its default is None, which is no vector", cure="Drop the default")
    columns = []
    for index, annotation in enumerate(elements):
        column = Column(name=f"{name}[{index}]", field=name, kind="number", element=index, **shared)
        column = _read_scalar(f"{where}[{index}]", column, unwrap(annotation))
        if column.kind not in ("number", "integer"):
            raise DefinitionError(f"{where}: its elements are no numbers", cure=ALLOWED)
        if default is not None:
            column = replace(column, required=False, default=default[index])
        columns.append(replace(column, example=None if example is None else example[index]))
    return columns


def _element_annotations(where: str, read: _Type) -> list[Any]:
    """Return the annotation of each element of a list or tuple of fixed length."""
    arguments = get_args(read.bare)
    shortest = longest = 0
    for entry in read.metadata:
        if isinstance(entry, annotated_types.MinLen):
            shortest = entry.min_length
        elif isinstance(entry, annotated_types.MaxLen):
            longest = entry.max_length
        else:
            _check_constraint(where, entry)
            if isinstance(entry, tuple(_BOUNDS)):
                raise DefinitionError(
                    f"{where}: bounds of a vector belong to its elements",
                    cure="For example list[Annotated[float, Field(ge=0)]]",
                )
    is_fixed_tuple = get_origin(read.bare) is tuple and arguments and arguments[-1] is not Ellipsis
    if is_fixed_tuple:
        return list(arguments)
    if not arguments or shortest != longest or shortest < 1:
        raise DefinitionError(
            f"{where}: a list of no fixed length cannot become columns",
            cure="Give type and length: features: list[float] = Field(min_length=4, max_length=4)",
        )
    return [arguments[0]] * shortest


def _read_documentation(where: str, field: FieldInfo) -> dict[str, Any]:
    extra = dict(field.json_schema_extra) if isinstance(field.json_schema_extra, dict) else {}
    for key in ("example", "examples"):
        extra.pop(key, None)
    unit = extra.pop("unit", None)
    if unit is not None and not isinstance(unit, str):
        raise DefinitionError(f"{where}: the unit {unit!r:.50} is no text", cure='For example {"unit": "mm"}')
    try:
        plain = json.loads(json.dumps(extra, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"{where}: json_schema_extra is no JSON: {error}", cure="Use JSON values") from error
    return {
        "unit": unit,
        "title": field.title,
        "description": field.description,
        "extra": tuple(sorted(plain.items())),
    }


def _first_example(field: FieldInfo) -> Any:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    examples = field.examples or extra.get("examples") or [extra.get("example")]
    if not isinstance(examples, (list, tuple)):
        return None
    return next((_plain(example) for example in examples if example is not None), None)


def _with_values(column: Column, field: FieldInfo, example: Any) -> Column:
    column = replace(column, example=example)
    return column if field.is_required() else replace(column, required=False, default=_plain(field.default))


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _spell(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def _cure_type(annotation: Any) -> str:
    if annotation is str:
        return "Name the texts that are allowed: Literal['red', 'green']. " + ALLOWED
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "Write its fields into the input model itself. " + ALLOWED
    return ALLOWED

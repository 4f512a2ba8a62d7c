"""The parts of a manifest that JSON does not know by itself: expressions, rules, columns, pictures."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from rookery.errors import RookeryError
from rookery.fields.columns import Column
from rookery.fields.expression import Expression, Rule, expression_from_json
from rookery.fields.pictures.spec import Image, image_from_json


def _read_expression(node: Any) -> Expression:
    if isinstance(node, Expression):
        return node
    try:
        return expression_from_json(node)
    except (RookeryError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not an expression: {error}") from error


def _read_rule(node: Any) -> Rule:
    if isinstance(node, Rule):
        return node
    if not isinstance(node, dict) or not {"condition", "message"} <= node.keys() <= {"condition", "message", "fields"}:
        raise ValueError("a rule has a condition, a message and perhaps fields")
    message, fields = node["message"], node.get("fields", [])
    if not isinstance(message, str) or not isinstance(fields, list) or not all(isinstance(f, str) for f in fields):
        raise ValueError("a rule's message and fields are texts")
    try:
        return Rule(_read_expression(node["condition"]), message, tuple(fields))
    except RookeryError as error:
        raise ValueError(str(error)) from error


def _write_rule(rule: Rule) -> dict[str, Any]:
    return {"condition": rule.condition.to_json(), "message": rule.message, "fields": list(rule.fields)}


def _is_empty(value: Any) -> bool:
    return isinstance(value, tuple) and not value


def _write_column(column: Column) -> dict[str, Any]:
    """Return a column without its empty entries, so that a manifest stays readable."""
    values = {name: getattr(column, name) for name in Column.__dataclass_fields__}
    return {name: value for name, value in values.items() if value is not None and not _is_empty(value)}


def _read_image(value: Any) -> Image:
    if isinstance(value, Image):
        return value
    try:
        return image_from_json(value)
    except (RookeryError, TypeError, ValueError) as error:
        raise ValueError(f"no picture: {error}") from error


JsonExpression = Annotated[Expression, BeforeValidator(_read_expression), PlainSerializer(Expression.to_json)]
JsonRule = Annotated[Rule, BeforeValidator(_read_rule), PlainSerializer(_write_rule)]
JsonColumn = Annotated[Column, PlainSerializer(_write_column)]
JsonImage = Annotated[Image, BeforeValidator(_read_image), PlainSerializer(Image.to_json)]


class Part(BaseModel):
    """A part of a manifest: frozen, of exactly the declared fields and types."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
    )

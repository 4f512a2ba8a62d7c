"""`Contract`: how a service speaks, whether its own Python or only a package tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel

from rookery.fields.expression import Rule
from rookery.fields.schema import InputSchema
from rookery.service.answers import Respond
from rookery.service.definition import Service
from rookery.service.policies import Cache, Limits
from rookery.service.task import Task


@dataclass(frozen=True, kw_only=True, eq=False)
class Contract:
    """Everything the pipeline and the doors must know of a service to answer its requests."""

    name: str
    kind: Literal["service", "generic"]
    """`service`: the service's own `respond` answers; `generic`: a package alone, in its task's shape."""
    title: str
    description: str
    definition_version: str
    schema: InputSchema
    task: Task | None
    """None of a function, whose answer is its own."""
    rules: tuple[Rule, ...]
    output: type[BaseModel] | None
    respond: Respond
    confidence_threshold: float | None
    limits: Limits
    paths: tuple[str, ...]
    invalid_status: Literal[400, 422] = 422
    """How parameters beside a picture that break their schema are answered."""
    cache: Cache = field(default_factory=Cache)
    cure: str = ""
    """The command that gives the service its first version."""
    is_optional: bool = False
    """Whether a server is well without it, as nobody asked for it by name and it has no version yet."""


def contract_of(service: Service) -> Contract:
    """Return the contract that a service's own definition makes."""
    return Contract(
        name=service.name,
        kind="service",
        title=service.title or service.name,
        description=service.description,
        definition_version=service.version,
        schema=service.schema,
        task=service.task,
        rules=tuple(service.rules),
        output=service.output,
        respond=service.respond,
        confidence_threshold=service.confidence_threshold,
        limits=service.limits,
        paths=tuple(service.paths),
        invalid_status=service.invalid_status,
        cache=service.cache,
        cure=f"rookery {'pull' if service.pretrained else 'train'} {service.name}",
    )

"""The contract of a package that serves alone, without its service's Python."""

from __future__ import annotations

from pydantic import BaseModel, Field

from rookery.package.manifest import Manifest
from rookery.service.contract import Contract
from rookery.service.prediction import respond_generically
from rookery.service.task import Classification


class GenericAnswer(BaseModel):
    """What every generic answer says besides its prediction."""

    model: str = Field(description="name of the model that answered")
    version: str = Field(description="version of the model that answered")
    request_id: str = Field(description="the server's own id of this prediction")
    warnings: list[str] | None = Field(
        default=None, description="what to doubt about the answer; absent when there is nothing"
    )


class GenericClass(GenericAnswer):
    """The generic answer of a classification."""

    prediction: str = Field(description="the most probable label")
    class_id: int = Field(description="the label's index")
    confidence: float = Field(description="the label's probability")
    probabilities: dict[str, float] = Field(description="every label's probability")


class GenericValue(GenericAnswer):
    """The generic answer of a regression."""

    prediction: float = Field(description="the predicted number")


def contract_from_manifest(manifest: Manifest) -> Contract:
    """Return the contract that a manifest alone can keep: its columns, its rules, and its task's generic shape.

    Raises:
        PackageError: the columns make no input model, or the package is a function.
    """
    task = manifest.require_task()
    return Contract(
        name=manifest.service,
        kind="generic",
        title=manifest.title or manifest.service,
        description=manifest.description,
        definition_version=manifest.definition_version,
        schema=manifest.input_schema(),
        task=task,
        rules=manifest.input.rules,
        output=GenericClass if isinstance(task, Classification) else GenericValue,
        respond=respond_generically,
        confidence_threshold=manifest.confidence_threshold,
        limits=manifest.limits,
        paths=("/predict",),
    )

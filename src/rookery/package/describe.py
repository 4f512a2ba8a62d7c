"""What every package says of itself, however its model came to be: the service's declaration as a manifest."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata

from rookery.fields.pictures.schema import describe_picture_input
from rookery.package.manifest import (
    ClassificationTask,
    DerivedFeature,
    InputSpec,
    Manifest,
    PictureSpec,
    Provenance,
    RegressionTask,
    Tensors,
)
from rookery.service.definition import Service
from rookery.service.task import Classification, Regression

LIBRARIES = ("rookery", "lightgbm", "numpy", "onnx", "onnxruntime", "scikit-learn", "xgboost", "xgboost-cpu")
"""The libraries that can change a model."""


def describe_service(
    service: Service,
    *,
    candidate: str,
    tensors: Tensors | None,
    provenance: Provenance,
    code_digest: str | None = None,
) -> Manifest:
    """Return the manifest of a service's package, its digests not yet filled in.

    A function has a `code_digest` and no tensors.
    """
    return Manifest(
        kind="onnx" if code_digest is None else "function",
        code_digest=code_digest,
        service=service.name,
        title=service.title,
        description=service.description,
        definition_version=service.version,
        model_name=service.resolve_model_name(candidate),
        candidate=candidate,
        task=_describe_task(service),
        input=_describe_input(service),
        confidence_threshold=service.confidence_threshold,
        limits=service.limits,
        tensors=tensors,
        provenance=provenance,
    )


def _describe_task(service: Service) -> ClassificationTask | RegressionTask | None:
    if isinstance(service.task, Classification):
        return ClassificationTask(labels=service.task.labels)
    return RegressionTask(unit=service.task.unit) if isinstance(service.task, Regression) else None


def _describe_input(service: Service) -> InputSpec:
    schema = service.schema
    picture = None
    if schema.picture is not None:
        picture = PictureSpec(
            field=schema.picture.name,
            image=schema.picture.image,
            parameters=() if schema.picture.parameters is None else schema.picture.parameters.columns,
            description=schema.picture.description,
        )
    return InputSpec(
        json_schema=schema.json_schema() if picture is None else describe_picture_input(schema),
        columns=schema.columns,
        picture=picture,
        rules=tuple(service.rules),
        derived=tuple(DerivedFeature(name=name, expression=value) for name, value in service.derived.items()),
    )


def read_library_versions(more: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of Python and of every installed library that can change a model, `more` among them."""
    versions = {"python": platform.python_version()}
    for name in (*LIBRARIES, *more):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions

"""What every package says of itself, however its model came to be: the service's declaration as a manifest."""

from __future__ import annotations

import platform
from importlib import metadata

from rookery.package.manifest import (
    ClassificationTask,
    DerivedFeature,
    InputSpec,
    Manifest,
    Provenance,
    RegressionTask,
    Tensors,
)
from rookery.service.definition import Service
from rookery.service.task import Classification

LIBRARIES = ("rookery", "lightgbm", "numpy", "onnx", "onnxruntime", "scikit-learn", "xgboost", "xgboost-cpu")
"""The libraries that can change a model."""


def describe_service(service: Service, *, candidate: str, tensors: Tensors, provenance: Provenance) -> Manifest:
    """Return the manifest of a service's package, its digests not yet filled in."""
    task = service.task
    return Manifest(
        service=service.name,
        title=service.title,
        description=service.description,
        definition_version=service.version,
        model_name=service.resolve_model_name(candidate),
        candidate=candidate,
        task=ClassificationTask(labels=task.labels)
        if isinstance(task, Classification)
        else RegressionTask(unit=task.unit),
        input=InputSpec(
            json_schema=service.schema.json_schema(),
            columns=service.schema.columns,
            rules=tuple(service.rules),
            derived=tuple(DerivedFeature(name=name, expression=value) for name, value in service.derived.items()),
        ),
        confidence_threshold=service.confidence_threshold,
        limits=service.limits,
        tensors=tensors,
        provenance=provenance,
    )


def read_library_versions() -> dict[str, str]:
    """Return the versions of Python and of every installed library that can change a model."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions

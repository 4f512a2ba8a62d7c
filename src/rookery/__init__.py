"""Rookery: from a dataset and a training recipe to a typed, versioned, proven prediction service.

This module exports the vocabulary that services are written in, and nothing that runs them. Each name is imported
when it is first asked for: `rookery --help` and the supervisor need none, and start without pydantic and NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rookery.errors import (
        DataError,
        DefinitionError,
        DownloadError,
        GateError,
        GoldenMismatch,
        InvalidInput,
        InvalidPicture,
        PackageError,
        ParityError,
        RegistryError,
        RequestError,
        RookeryError,
        ServeError,
        SettingError,
        TrainingError,
        UnsupportedEstimator,
        VersionNotFound,
    )
    from rookery.fields.expression import (
        Expression,
        Rule,
        col,
        distance_km,
        exp,
        inside,
        log,
        log1p,
        maximum,
        minimum,
        sqrt,
    )
    from rookery.fields.pictures.spec import Image
    from rookery.service.dataset import Dataset
    from rookery.service.definition import Service
    from rookery.service.labels import imagenet_labels, imagenet_names
    from rookery.service.picture_prediction import PicturePrediction
    from rookery.service.policies import Cache, Gate, Limits, Rollout
    from rookery.service.prediction import Prediction
    from rookery.service.pretrained import Pretrained
    from rookery.service.task import Classification, Regression

__version__ = "0.1.0"

__all__ = [
    "Cache",
    "Classification",
    "DataError",
    "Dataset",
    "DefinitionError",
    "DownloadError",
    "Expression",
    "Gate",
    "GateError",
    "GoldenMismatch",
    "Image",
    "InvalidInput",
    "InvalidPicture",
    "Limits",
    "PackageError",
    "ParityError",
    "PicturePrediction",
    "Prediction",
    "Pretrained",
    "RegistryError",
    "Regression",
    "RequestError",
    "Rollout",
    "RookeryError",
    "Rule",
    "ServeError",
    "Service",
    "SettingError",
    "TrainingError",
    "UnsupportedEstimator",
    "VersionNotFound",
    "__version__",
    "col",
    "distance_km",
    "exp",
    "imagenet_labels",
    "imagenet_names",
    "inside",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "sqrt",
]

_MODULE_OF = {
    "Cache": "rookery.service.policies",
    "Classification": "rookery.service.task",
    "DataError": "rookery.errors",
    "Dataset": "rookery.service.dataset",
    "DefinitionError": "rookery.errors",
    "DownloadError": "rookery.errors",
    "Expression": "rookery.fields.expression",
    "Gate": "rookery.service.policies",
    "GateError": "rookery.errors",
    "GoldenMismatch": "rookery.errors",
    "Image": "rookery.fields.pictures.spec",
    "InvalidInput": "rookery.errors",
    "InvalidPicture": "rookery.errors",
    "Limits": "rookery.service.policies",
    "PackageError": "rookery.errors",
    "ParityError": "rookery.errors",
    "PicturePrediction": "rookery.service.picture_prediction",
    "Prediction": "rookery.service.prediction",
    "Pretrained": "rookery.service.pretrained",
    "RegistryError": "rookery.errors",
    "Regression": "rookery.service.task",
    "RequestError": "rookery.errors",
    "Rollout": "rookery.service.policies",
    "RookeryError": "rookery.errors",
    "Rule": "rookery.fields.expression",
    "ServeError": "rookery.errors",
    "Service": "rookery.service.definition",
    "SettingError": "rookery.errors",
    "TrainingError": "rookery.errors",
    "UnsupportedEstimator": "rookery.errors",
    "VersionNotFound": "rookery.errors",
    "col": "rookery.fields.expression",
    "distance_km": "rookery.fields.expression",
    "exp": "rookery.fields.expression",
    "imagenet_labels": "rookery.service.labels",
    "imagenet_names": "rookery.service.labels",
    "inside": "rookery.fields.expression",
    "log": "rookery.fields.expression",
    "log1p": "rookery.fields.expression",
    "maximum": "rookery.fields.expression",
    "minimum": "rookery.fields.expression",
    "sqrt": "rookery.fields.expression",
}
"""Where each exported name is defined."""


def __getattr__(name: str) -> Any:
    """Import an exported name; afterwards it is an ordinary attribute."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'rookery' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    """Name the exports that have not been asked for yet, too."""
    return sorted({*globals(), *__all__})

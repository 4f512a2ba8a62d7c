"""Rookery: from a dataset and a training recipe to a typed, versioned, proven prediction service.

This module exports the vocabulary that services are written in, and nothing that runs them.
"""

from rookery.errors import (
    DataError,
    DefinitionError,
    GateError,
    GoldenMismatch,
    InvalidInput,
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
from rookery.service.dataset import Dataset
from rookery.service.definition import Service
from rookery.service.policies import Cache, Gate, Limits, Rollout
from rookery.service.prediction import Prediction
from rookery.service.task import Classification, Regression

__version__ = "0.1.0"

__all__ = [
    "Cache",
    "Classification",
    "DataError",
    "Dataset",
    "DefinitionError",
    "Expression",
    "Gate",
    "GateError",
    "GoldenMismatch",
    "InvalidInput",
    "Limits",
    "PackageError",
    "ParityError",
    "Prediction",
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
    "inside",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "sqrt",
]

"""`connect`: the registry that the settings name."""

from __future__ import annotations

from rookery.registry.base import Registry
from rookery.registry.mlflow_client import sqlite_uri
from rookery.registry.mlflow_registry import MlflowRegistry
from rookery.settings import Settings


def connect(settings: Settings) -> Registry:
    """Return the tracking server's registry, or the one embedded in the home folder, made if it is not there.

    Raises:
        RegistryError: MLflow is not installed, or the home folder cannot hold a registry.
    """
    if settings.tracking_uri:
        return MlflowRegistry(settings.tracking_uri)
    folder = settings.home.absolute() / "registry"
    return MlflowRegistry(sqlite_uri(folder / "mlflow.db"), folder / "artifacts")

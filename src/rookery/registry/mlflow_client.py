"""Opening MLflow quietly and safely: the client, the embedded database, experiments, and what its errors mean.

MLflow is imported inside functions only: it costs seconds and 100 MB, and no serving worker may pay for it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rookery.errors import RegistryError, RegistryUnavailable, RookeryError, VersionNotFound
from rookery.registry.lock import file_lock

SQLITE = "sqlite:///"

DEFAULT_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""MLflow is set by the environment alone. These are our defaults; whatever the operator has set wins.

MLflow's own defaults (120 s, 7 retries, the server's Retry-After) would let a registry that is down hold up a
synchronisation for a quarter of an hour.
"""

_REFUSALS = {"RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE"}
_CLOSED_DOORS = {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}


def open_client(tracking_uri: str) -> Any:
    """Return an `MlflowClient` for a tracking server's URL, or for the embedded database (`sqlite:///PATH`).

    The embedded database is created when it is not there: whole, by one process, while others wait.

    Raises:
        RegistryError: MLflow is not installed, or the database is of another MLflow version.
        RegistryUnavailable: the database cannot be opened.
    """
    for name, value in DEFAULT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise RegistryError("MLflow is not installed", cure="Run `pip install 'rookery[train]'`") from error
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    with translated("open the registry", show_location(tracking_uri)):
        if tracking_uri.startswith(SQLITE):
            _ensure_database(Path(tracking_uri.removeprefix(SQLITE)))
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def sqlite_uri(database: Path) -> str:
    """Return the tracking URI of an SQLite file.

    Raises:
        RegistryError: the path holds a character that means something else in a database URL.
    """
    path = str(database.absolute())
    if any(character in path for character in "?#%"):
        raise RegistryError(
            f"{path} cannot hold the registry", cure="Use a home folder without '?', '#' and '%' in its path"
        )
    return SQLITE + path


def _ensure_database(database: Path) -> None:
    """Create the schema beside and rename it into place: a killed migration leaves nothing behind that looks whole."""
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(database.with_name("registry.lock")):
        if database.exists():
            return
        from mlflow import MlflowClient

        fresh = database.with_name(f".{database.name}.new")
        fresh.unlink(missing_ok=True)
        client = MlflowClient(tracking_uri=sqlite_uri(fresh), registry_uri=sqlite_uri(fresh))
        client.search_registered_models(max_results=1)
        client.search_experiments(max_results=1)
        fresh.rename(database)


def find_experiment(client: Any, name: str, artifact_root: Path | None) -> str:
    """Return the id of the experiment with this name, made when it is not there.

    `artifact_root` is where the embedded registry keeps files; None lets the tracking server decide.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if artifact_root is None else (artifact_root.absolute() / name).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except Exception as error:
            # Somebody else made it in between.
            if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise RegistryError(f"the MLflow experiment {name!r} has been deleted", cure="Restore it in MLflow")
    return str(found.experiment_id)


@contextmanager
def translated(what: str, location: str) -> Iterator[None]:
    """Turn whatever MLflow raises into a `RegistryError` that says what was asked of which registry."""
    try:
        yield
    except RookeryError:
        raise
    except Exception as error:
        raise translate_error(error, what, location) from error


def translate_error(error: Exception, what: str, location: str) -> RegistryError:
    """Return the `RegistryError` for an exception of MLflow or of what lies below it.

    Only answers that a registry gives on purpose are refusals. All else (no connection, a time-out, an error page,
    JSON of another kind, a broken database) means that there is no registry to speak to.
    """
    code = str(getattr(error, "error_code", ""))
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[0][:300]
    message = f"cannot {what}: the registry at {location} says: {reason}"
    if code == "RESOURCE_DOES_NOT_EXIST":
        return VersionNotFound(message)
    if code in _CLOSED_DOORS:
        return RegistryError(
            message, cure="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if code in _REFUSALS:
        return RegistryError(message)
    if "out-of-date database schema" in reason:
        return RegistryError(
            f"cannot {what}: the registry at {location} was written by another MLflow version",
            cure="Back it up, then run `mlflow db upgrade` with its database URL",
        )
    return RegistryUnavailable(
        f"cannot {what}: the registry at {location} does not answer as one: {reason}",
        cure="Check that it runs and that ROOKERY_TRACKING_URI names it",
    )


def show_location(tracking_uri: str) -> str:
    """Return a tracking URI for messages: the embedded database's path, or the URL without credentials and query."""
    if tracking_uri.startswith(SQLITE):
        return tracking_uri.removeprefix(SQLITE)
    parts = urlsplit(tracking_uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

"""Every exception Rookery raises, in one tree.

::

    RookeryError
    ├── DefinitionError           a service's definition contradicts itself
    ├── SettingError              a setting's value is not allowed
    ├── DataError                 training data cannot be used
    ├── TrainingError             a candidate could not be trained
    │   ├── UnsupportedEstimator  an estimator outside the proven list
    │   ├── ParityError           an export that does not answer as the original
    │   └── GateError             a version that misses its gate
    ├── PackageError              a package cannot be written or opened
    │   ├── DigestMismatch        a file is missing, added or altered
    │   ├── UnsafeGraph           a graph with forbidden operators or external data
    │   └── GoldenMismatch        a golden case is no longer reproduced
    ├── RegistryError             the registry refused
    │   ├── VersionNotFound       no such service, version or alias
    │   └── RegistryUnavailable   the registry cannot be reached
    ├── DownloadError             a file cannot be fetched, or is not the one that was promised
    ├── ServeError                a server cannot start
    └── RequestError              one call cannot be answered
        ├── MalformedRequest      the body is no JSON, or no request at all
        ├── InvalidInput          the input breaks its schema or a rule
        ├── InvalidPicture        a picture that cannot be read, or is none
        ├── PayloadTooLarge       more bytes or rows than the limits allow
        ├── UnsupportedMedia      a content type or encoding that is not read
        ├── NotReady              no version of the model is loaded
        ├── Overloaded            more work than can be done in time
        ├── DeadlineExceeded      the answer would come too late
        └── InferenceFailed       the model failed on a valid input

HTTP status codes and exit codes are not named here: the doors (`serving`, `cli`) own them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RookeryError(Exception):
    """A fault that Rookery can explain: where it lies, and what cures it."""

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message}. {self.cure}" if self.cure else self.message


class DefinitionError(RookeryError):
    """A service's definition contradicts itself."""


class SettingError(RookeryError):
    """A setting has a value that is not allowed."""


class DataError(RookeryError):
    """Training data cannot be used as it is."""


class TrainingError(RookeryError):
    """A candidate could not be trained or exported."""


class UnsupportedEstimator(TrainingError):
    """An estimator outside the list whose export is proven."""


class ParityError(TrainingError):
    """An exported graph does not answer as the trained model does; `rows` says where."""

    def __init__(self, message: str, *, cure: str = "", rows: Sequence[int] = ()) -> None:
        super().__init__(message, cure=cure)
        self.rows = tuple(rows)


class GateError(TrainingError):
    """A version does not meet its gate."""


class PackageError(RookeryError):
    """A package cannot be written or opened."""


class DigestMismatch(PackageError):
    """A package's file is missing, added, linked or altered."""


class UnsafeGraph(PackageError):
    """A graph holds forbidden operators, external data or another shape than declared."""


class GoldenMismatch(PackageError):
    """A package no longer reproduces one of its golden cases."""


class RegistryError(RookeryError):
    """The registry refused what was asked of it."""


class VersionNotFound(RegistryError):
    """The registry knows no such service, version or alias."""


class RegistryUnavailable(RegistryError):
    """The registry cannot be reached or does not answer sensibly."""


class DownloadError(RookeryError):
    """A file cannot be fetched, or is not the one that was promised."""


class ServeError(RookeryError):
    """A server cannot start as it was asked to."""


class RequestError(RookeryError):
    """One call cannot be answered; its neighbours can."""


class MalformedRequest(RequestError):
    """The request is not readable at all."""


class InvalidInput(RequestError):
    """The input breaks its schema or one of the service's rules.

    `details` holds FastAPI's shape: dicts with `type`, `loc`, `msg` and `input`.
    """

    def __init__(self, message: str, details: Sequence[dict[str, Any]]) -> None:
        super().__init__(message)
        self.details = list(details)


class InvalidPicture(RequestError):
    """A picture is missing, damaged, of another format than the service reads, or of more pixels than it allows."""


class PayloadTooLarge(RequestError):
    """A request has more bytes or rows than the service's limits allow."""


class UnsupportedMedia(RequestError):
    """A request's content type or encoding is not one the service reads."""


class NotReady(RequestError):
    """No version of the model is loaded."""


class Overloaded(RequestError):
    """There is more work than can be done in time; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceeded(RequestError):
    """The answer would come later than the service promises."""


class InferenceFailed(RequestError):
    """The model failed on an input that was valid."""

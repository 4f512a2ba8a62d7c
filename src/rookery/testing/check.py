"""`check_service`: a service's whole contract, run in your own test suite.

from rookery.testing.check import check_service
from services.wine.service import service

def test_wine_keeps_its_contract() -> None:
check_service(service)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rookery.errors import DefinitionError
from rookery.export.function_package import package_function
from rookery.registry.memory import MemoryRegistry
from rookery.service.definition import Service
from rookery.testing.client import LocalClient
from rookery.testing.inputs import Row, example_row
from rookery.testing.picture_inputs import make_subject
from rookery.testing.picture_promises import PICTURE_PROMISES
from rookery.testing.promises import PROMISES, Subject


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was checked of a service."""

    service: str
    promises: tuple[str, ...]
    """The promises that hold, each in a sentence."""
    inputs: int
    """Good inputs that were sent."""


def check_service(service: Service, package: Path | None = None) -> CheckReport:
    """Check everything that a service promises its callers.

    Args:
        service: the definition.
        package: a package of its; without one the service is trained, in a temporary folder and on its own data.

    Raises:
        AssertionError: promises are broken; the message has a line for each place.
        RookeryError: the service cannot be trained, or the package is refused.
    """
    if package is not None:
        return _check(service, package)
    with tempfile.TemporaryDirectory(prefix="rookery-check-") as folder:
        return _check(service, train_package(service, Path(folder)))


def train_package(service: Service, folder: Path) -> Path:
    """Train a service below `folder`, with a registry in memory, and return the new version's package.

    Raises:
        RookeryError: the service has nothing to train with, or training fails.
    """
    if service.function is not None:
        package_function(service, folder / "package")
        return folder / "package"
    if service.data is None or not service.candidates:
        raise DefinitionError(
            f"{service.name} has no data or no candidates to train with", cure="Hand in a package to check instead"
        )
    from rookery.training.run import train
    from rookery.training.tracker import NullTracker

    registry = MemoryRegistry(folder / "registry")
    train(service, registry=registry, tracker=NullTracker(), home=folder / "home")
    return registry.download(service.name, registry.versions(service.name)[0].version, folder / "package")


def _check(service: Service, package: Path) -> CheckReport:
    with LocalClient(package, service=service) as client:
        if service.schema.picture is not None:
            pictures = make_subject(client, service)
            broken, inputs = _examine_all(PICTURE_PROMISES, pictures), len(pictures.files)
            promises: Sequence[Callable[..., Iterator[str]]] = PICTURE_PROMISES
        else:
            rows = Subject(client, _good_rows(client))
            broken, inputs, promises = _examine_all(PROMISES, rows), len(rows.rows), PROMISES
    if broken:
        lines = "\n".join(f"- {line}" for line in broken)
        raise AssertionError(f"{service.name} breaks {len(broken)} promise(s):\n{lines}")
    sentences = tuple((promise.__doc__ or promise.__name__).strip() for promise in promises)
    return CheckReport(service.name, sentences, inputs)


S = TypeVar("S")


def _examine_all(promises: Sequence[Callable[[S], Iterator[str]]], subject: S) -> list[str]:
    return [fault for promise in promises for fault in _examine(promise, subject)]


def _examine(promise: Callable[[S], Iterator[str]], subject: S) -> list[str]:
    """Return where a promise is broken; what is broken so that the check itself cannot go on is one place more."""
    name = promise.__name__.replace("_", " ")
    faults: list[str] = []
    try:
        faults.extend(f"{name}: {fault}" for fault in promise(subject))
    except Exception as error:
        faults.append(f"{name}: could not be checked to the end: {type(error).__name__}: {error}")
    return faults


def _good_rows(client: LocalClient) -> list[Row]:
    """Return inputs that must be answered: the examples of the fields, and what the golden cases recorded."""
    example = example_row(client.contract.schema)
    recorded = [dict(case.input) for case in client.package.golden]
    return recorded if example is None else [example, *recorded]

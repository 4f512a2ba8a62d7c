"""Candidates: unfitted estimators made reproducible, and fitted with clear faults."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

from rookery.errors import TrainingError
from rookery.export.kinds import check_estimator
from rookery.service.definition import Service
from rookery.training.rows import Matrix, Target

SHOWN_PARAMETERS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A fitted candidate: the estimator, how long the fit took, and what it complained of."""

    estimator: Any
    seconds: float
    warnings: tuple[str, ...]


def make_estimator(service: Service, name: str) -> Any:
    """Call a candidate's factory, seed what it left unseeded, and refuse what could not be exported.

    Raises:
        TrainingError: the factory fails.
        UnsupportedEstimator: the estimator is none of the proven ones; known before anything is fitted.
    """
    try:
        estimator = service.candidates[name]()
    except Exception as error:
        raise TrainingError(
            f"{service.name}: candidate {name!r} cannot be made: {type(error).__name__}: {error}",
            cure="Correct its factory, or install the library it needs: pip install 'rookery[train]'",
        ) from error
    seed_estimator(estimator, service.seed)
    check_estimator(estimator, service.require_task())
    return estimator


def seed_estimator(estimator: Any, seed: int) -> None:
    """Give every `random_state` that was left open, at any depth, the service's seed."""
    parameters = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    is_open = {
        name: seed for name, value in parameters.items() if value is None and name.rsplit("__", 1)[-1] == "random_state"
    }
    if is_open:
        estimator.set_params(**is_open)


def read_parameters(estimator: Any) -> dict[str, str]:
    """Return the estimator's plain parameters as text, for the record; nested estimators are named by their class."""
    parameters = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    plain = {
        name: str(value)
        for name, value in sorted(parameters.items())
        if value is not None and isinstance(value, (str, int, float, bool))
    }
    return {"estimator": type(estimator).__name__, **dict(list(plain.items())[:SHOWN_PARAMETERS])}


def fit(service: Service, name: str, estimator: Any, features: Matrix, target: Target) -> Fitted:
    """Fit a candidate on derived features; warnings are kept for the report rather than printed.

    Raises:
        TrainingError: the fit fails; the message names the candidate.
    """
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator.fit(features, target)
        except Exception as error:
            raise TrainingError(
                f"{service.name}: candidate {name!r} cannot be fitted: {type(error).__name__}: {str(error)[:500]}",
                cure="Correct its settings, or drop the candidate",
            ) from error
    seconds = time.perf_counter() - start
    told = dict.fromkeys(f"{entry.category.__name__}: {str(entry.message).splitlines()[0][:200]}" for entry in caught)
    return Fitted(estimator=estimator, seconds=seconds, warnings=tuple(told))

"""The closed list of estimators whose export is proven, and why the others are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rookery.errors import UnsupportedEstimator
from rookery.export import hist_boosting, lightgbm_trees, linear, sklearn_trees, xgboost_trees
from rookery.export.graph import GraphBuilder
from rookery.export.original import qualified_name
from rookery.export.preprocessing import check_step
from rookery.service.metrics import TaskKind
from rookery.service.task import Task

Convert = Callable[[Any, GraphBuilder, str], str]
Check = Callable[[Any], None]


def _accept(estimator: Any) -> None:
    """Every variant of the estimator is proven."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One supported estimator: how its variants are checked before a fit, and how a fitted one is written."""

    task: TaskKind
    convert: Convert
    check: Check = _accept
    steps_before: bool = False
    """Whether a pipeline of preprocessing steps may stand before it."""


def _kinds() -> dict[str, Kind]:
    forest = Kind("classification", sklearn_trees.convert_forest_classifier)
    forest_regressor = Kind("regression", sklearn_trees.convert_forest_regressor)
    boosting = sklearn_trees.check_boosting
    xgboost = Kind("classification", xgboost_trees.convert_classifier, xgboost_trees.check)
    xgboost_regressor = Kind("regression", xgboost_trees.convert_regressor, xgboost_trees.check)
    kinds = {
        "sklearn.LogisticRegression": Kind("classification", linear.convert, steps_before=True),
        "sklearn.CalibratedClassifierCV": Kind(
            "classification", linear.convert, linear.check_calibrated, steps_before=True
        ),
        "sklearn.SVR": Kind("regression", linear.convert, linear.check_svm, steps_before=True),
        "sklearn.DecisionTreeClassifier": forest,
        "sklearn.RandomForestClassifier": forest,
        "sklearn.ExtraTreesClassifier": forest,
        "sklearn.DecisionTreeRegressor": forest_regressor,
        "sklearn.RandomForestRegressor": forest_regressor,
        "sklearn.ExtraTreesRegressor": forest_regressor,
        "sklearn.GradientBoostingClassifier": Kind(
            "classification", sklearn_trees.convert_boosting_classifier, boosting
        ),
        "sklearn.GradientBoostingRegressor": Kind("regression", sklearn_trees.convert_boosting_regressor, boosting),
        "sklearn.HistGradientBoostingClassifier": Kind(
            "classification", hist_boosting.convert_classifier, hist_boosting.check
        ),
        "sklearn.HistGradientBoostingRegressor": Kind(
            "regression", hist_boosting.convert_regressor, hist_boosting.check
        ),
        "xgboost.XGBClassifier": xgboost,
        "xgboost.XGBRFClassifier": xgboost,
        "xgboost.XGBRegressor": xgboost_regressor,
        "xgboost.XGBRFRegressor": xgboost_regressor,
        "lightgbm.LGBMClassifier": Kind("classification", lightgbm_trees.convert_classifier, lightgbm_trees.check),
        "lightgbm.LGBMRegressor": Kind("regression", lightgbm_trees.convert_regressor, lightgbm_trees.check),
    }
    kinds |= {name: Kind("regression", linear.convert, steps_before=True) for name in linear.REGRESSORS}
    return kinds


KINDS: Mapping[str, Kind] = _kinds()
"""Every supported estimator by `library.ClassName`."""

_CALIBRATE = "Use CalibratedClassifierCV({name}(), ensemble=False), which gives probabilities"
_REASONS: Mapping[str, tuple[str, str]] = {
    "sklearn.SVC": (
        "SVC gives no probabilities of its own (with probability=True its argmax is not its prediction)",
        "Use CalibratedClassifierCV(SVC(), ensemble=False), whose label is the argmax of its probabilities",
    ),
    "sklearn.LinearSVC": ("LinearSVC gives no probabilities", _CALIBRATE.format(name="LinearSVC")),
    "sklearn.RidgeClassifier": ("RidgeClassifier gives no probabilities", _CALIBRATE.format(name="RidgeClassifier")),
    "sklearn.TransformedTargetRegressor": (
        "TransformedTargetRegressor answers through a function that no graph holds",
        "Transform the target in the service's data function and the answer in respond",
    ),
}
"""What to say of estimators that people try, beyond that they are not in the list."""


def supported_kinds() -> list[str]:
    """Return the names of all supported estimators."""
    return sorted(name.partition(".")[2] for name in KINDS)


def check_estimator(estimator: Any, task: Task) -> None:
    """Refuse, before any fit, an estimator or variant whose export is not proven.

    Raises:
        UnsupportedEstimator: the message says why, or lists what is supported.
    """
    kind, model = _resolve(estimator)
    if kind.task != task.kind:
        raise UnsupportedEstimator(
            f"{type(model).__name__} is a {kind.task} model, the task is a {task.kind}",
            cure=f"Choose from {', '.join(_names_for(task.kind))}",
        )
    kind.check(model)


def kind_of(estimator: Any) -> Kind:
    """Return the supported kind of an estimator or pipeline, or refuse it as `check_estimator` does."""
    return _resolve(estimator)[0]


def describe_kind(estimator: Any) -> str:
    """Return an estimator's name for cards and reports, such as `StandardScaler + LogisticRegression`."""
    if qualified_name(estimator) == "sklearn.Pipeline":
        return " + ".join(describe_kind(step) for _, step in estimator.steps)
    if qualified_name(estimator) == "sklearn.CalibratedClassifierCV":
        return f"calibrated {describe_kind(estimator.estimator)}"
    return type(estimator).__name__


def _names_for(task: TaskKind) -> list[str]:
    return sorted(name.partition(".")[2] for name, kind in KINDS.items() if kind.task == task)


def _resolve(estimator: Any) -> tuple[Kind, Any]:
    """Return the kind and the model itself, at the end of a pipeline or not."""
    model, steps = estimator, []
    while qualified_name(model) == "sklearn.Pipeline":
        steps += [step for _, step in model.steps[:-1]]
        model = model.steps[-1][1]
    name = qualified_name(model)
    if name in _REASONS:
        raise UnsupportedEstimator(_REASONS[name][0], cure=_REASONS[name][1])
    kind = KINDS.get(name)
    if kind is None:
        raise UnsupportedEstimator(
            f"{name} is not in the list of estimators whose export is proven",
            cure=f"Choose from {', '.join(supported_kinds())}",
        )
    if steps and not kind.steps_before:
        raise UnsupportedEstimator(
            f"{type(steps[0]).__name__} before {type(model).__name__}: trees read the raw columns, "
            "since a step before them moves rows across their thresholds",
            cure=f"Use {type(model).__name__} alone; category codes and unscaled numbers suit it",
        )
    for step in steps:
        check_step(step)
    return kind, model

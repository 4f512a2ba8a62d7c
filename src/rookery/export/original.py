"""The original estimator: what it is called, how its classes relate to the task's labels, what it answers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rookery.errors import DataError, TrainingError
from rookery.export.runner import Matrix
from rookery.service.task import Classification, Task

ClassNames = Literal["indices", "labels"]
"""What an estimator was fitted on: class indices 0 to k-1 (as training does), or the labels themselves."""


def qualified_name(estimator: Any) -> str:
    """Return `library.ClassName`; subclasses have names of their own, since they may answer differently."""
    kind = type(estimator)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def class_order(estimator: Any, task: Classification, names: ClassNames = "indices") -> list[int]:
    """Return, for each of the task's labels, the position of its column in `predict_proba`.

    Raises:
        TrainingError: the estimator's classes are not the task's labels.
    """
    classes = list(np.asarray(estimator.classes_).tolist())
    texts = [str(value) for value in classes]
    if names == "labels" and sorted(texts) == sorted(task.labels):
        return [texts.index(label) for label in task.labels]
    if [value for value in classes if not isinstance(value, str)] == list(range(len(task.labels))):
        return list(range(len(task.labels)))
    raise TrainingError(
        f"{type(estimator).__name__} was fitted on the classes {', '.join(texts)}, "
        f"the task's labels are {', '.join(task.labels)}",
        cure="Fit it on the labels, or on their positions 0, 1, … in the task",
    )


def check_fitted_columns(estimator: Any, names: Sequence[str]) -> None:
    """Refuse an estimator that was fitted on a DataFrame with other columns, or with these in another order.

    Raises:
        DataError: the message names the first column that differs.
    """
    fitted = fitted_names(estimator)
    if fitted is not None and fitted != list(names):
        position = next(
            (i for i, (have, want) in enumerate(zip(fitted, names, strict=False)) if have != want),
            min(len(fitted), len(names)),
        )
        have = fitted[position] if position < len(fitted) else "nothing"
        want = names[position] if position < len(names) else "nothing"
        cure = "Refit it on the columns in the input model's order"
        if sorted(fitted) == sorted(names):
            cure = f"Declare the input model's fields in the order it was fitted on: {', '.join(fitted)}"
        raise DataError(f"the model was fitted with {have!r} at position {position}, the input has {want!r}", cure=cure)
    count = getattr(estimator, "n_features_in_", None)
    if count is not None and int(count) != len(names):
        raise DataError(
            f"the model was fitted on {count} columns, the input has {len(names)}: {', '.join(names)}",
            cure="Declare one field per fitted column, in the same order",
        )


def fitted_names(estimator: Any) -> list[str] | None:
    """Return the column names an estimator was fitted with; None if it was fitted on a plain array."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def answer(estimator: Any, features: Matrix, order: Sequence[int] | None) -> npt.NDArray[np.float64]:
    """Ask the original: probabilities [n, labels] in the task's order, or values [n] (`order` None)."""
    rows = _as_fitted(estimator, features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if order is None:
            return np.asarray(estimator.predict(rows), dtype=np.float64).reshape(len(features))
        return np.asarray(estimator.predict_proba(rows), dtype=np.float64)[:, list(order)]


def predicted_positions(estimator: Any, features: Matrix, order: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the original's own predicted class as a position among the task's labels, [n]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = np.asarray(estimator.predict(_as_fitted(estimator, features))).ravel()
    classes = np.asarray(estimator.classes_)
    position_of = {classes[column]: position for position, column in enumerate(order)}
    return np.asarray([position_of[value] for value in predicted], dtype=np.int64)


def order_for(estimator: Any, task: Task, names: ClassNames = "indices") -> list[int] | None:
    """Return `class_order` for a classification and None for a regression."""
    return class_order(estimator, task, names) if isinstance(task, Classification) else None


def _as_fitted(estimator: Any, features: Matrix) -> Any:
    """Return the features as the estimator takes them.

    scikit-learn gets float64: its trees make float32 of that again, and its sums over columns, which otherwise
    follow the input's type, then round no sooner than the model's own parameters.
    """
    names = fitted_names(estimator)
    rows = features.astype(np.float64) if qualified_name(estimator).startswith("sklearn.") else features
    if names is None:
        return rows
    from pandas import DataFrame  # only where the model itself was fitted on a DataFrame

    return DataFrame(rows, columns=names)

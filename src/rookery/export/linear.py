"""scikit-learn's linear models, support vector machines and calibrated ones, with the steps before them.

Written in float64 from the columns to the last node: a float32 sum over unscaled columns or squared distances
would lose more than the tolerance allows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rookery.errors import UnsupportedEstimator
from rookery.export.graph import DOUBLE, FLOAT, GraphBuilder
from rookery.export.original import qualified_name
from rookery.export.preprocessing import check_step, write_step

REGRESSORS = (
    "sklearn.LinearRegression",
    "sklearn.Ridge",
    "sklearn.Lasso",
    "sklearn.ElasticNet",
    "sklearn.LinearSVR",
)
LINEAR_SCORES = ("sklearn.LinearSVC", "sklearn.RidgeClassifier", "sklearn.LogisticRegression")
CALIBRATED = (*LINEAR_SCORES, "sklearn.SVC")
"""What `CalibratedClassifierCV(..., ensemble=False)` may wrap."""
KERNELS = ("linear", "rbf", "poly", "sigmoid")


def check_svm(estimator: Any) -> None:
    """Refuse kernels that are functions or given matrices."""
    if estimator.kernel not in KERNELS:
        raise UnsupportedEstimator(
            f"{type(estimator).__name__}(kernel={estimator.kernel!r}) is not proven",
            cure=f"Choose from {', '.join(KERNELS)}",
        )


def check_calibrated(estimator: Any) -> None:
    """Refuse calibrations that average several models, are not sigmoid, or wrap something else than a margin."""
    if estimator.ensemble is not False:
        raise UnsupportedEstimator(
            f"CalibratedClassifierCV(ensemble={estimator.ensemble!r}) averages several models",
            cure="Use CalibratedClassifierCV(..., ensemble=False)",
        )
    if estimator.method != "sigmoid":
        raise UnsupportedEstimator(
            f"CalibratedClassifierCV(method={estimator.method!r}) is not proven", cure="Use method='sigmoid'"
        )
    inner = estimator.estimator
    while qualified_name(inner) == "sklearn.Pipeline":
        for _, step in inner.steps[:-1]:
            check_step(step)
        inner = inner.steps[-1][1]
    if qualified_name(inner) not in CALIBRATED:
        wrapped = "LinearSVC (the default)" if inner is None else type(inner).__name__
        raise UnsupportedEstimator(
            f"a calibrated {wrapped} is not proven",
            cure=f"Calibrate one of {', '.join(name.partition('.')[2] for name in CALIBRATED)}",
        )
    if qualified_name(inner) == "sklearn.SVC":
        check_svm(inner)
        if inner.decision_function_shape != "ovr":
            raise UnsupportedEstimator(
                "a calibrated SVC(decision_function_shape='ovo') is not proven",
                cure="Leave decision_function_shape='ovr'",
            )


def convert(estimator: Any, builder: GraphBuilder, features: str) -> str:
    """Write a fitted model with its steps; returns float32 probabilities [N, classes] or values [N, 1]."""
    wide = builder.add("Cast", features, to=DOUBLE)
    return builder.add("Cast", _write_model(estimator, builder, wide), to=FLOAT)


def _write_model(estimator: Any, builder: GraphBuilder, tensor: str) -> str:
    estimator, tensor = _write_steps(estimator, builder, tensor)
    name = qualified_name(estimator)
    if name == "sklearn.CalibratedClassifierCV":
        return _write_calibrated(estimator, builder, tensor)
    if name == "sklearn.SVR":
        return _write_kernel_sum(estimator, builder, tensor, estimator.dual_coef_.T, estimator.intercept_)
    if name == "sklearn.LogisticRegression":
        return _write_logistic(estimator, builder, tensor)
    return _write_linear(estimator, builder, tensor)


def _write_steps(estimator: Any, builder: GraphBuilder, tensor: str) -> tuple[Any, str]:
    """Write a pipeline's steps and return its last one; anything else is returned as it is."""
    while qualified_name(estimator) == "sklearn.Pipeline":
        width = int(estimator.n_features_in_)
        for _, step in estimator.steps[:-1]:
            tensor, width = write_step(step, builder, tensor, width)
        estimator = estimator.steps[-1][1]
    return estimator, tensor


def _write_linear(estimator: Any, builder: GraphBuilder, tensor: str) -> str:
    coefficients = getattr(estimator.coef_, "toarray", lambda: estimator.coef_)()
    weights = np.atleast_2d(np.asarray(coefficients, dtype=np.float64)).T
    if qualified_name(estimator) in REGRESSORS and weights.shape[1] != 1:
        raise UnsupportedEstimator(
            f"{type(estimator).__name__} was fitted on {weights.shape[1]} targets", cure="Fit one model per target"
        )
    intercept = np.broadcast_to(np.asarray(estimator.intercept_, dtype=np.float64).ravel(), weights.shape[1])
    return builder.add("Gemm", tensor, builder.constant(weights, np.float64), builder.constant(intercept, np.float64))


def _write_logistic(estimator: Any, builder: GraphBuilder, tensor: str) -> str:
    classes = len(estimator.classes_)
    if estimator.solver == "liblinear" and classes > 2:
        raise UnsupportedEstimator(
            "LogisticRegression(solver='liblinear') with more than two classes is not proven",
            cure="Leave solver='lbfgs'",
        )
    scores = _write_linear(estimator, builder, tensor)
    if classes == 2:
        scores = builder.add("MatMul", scores, builder.constant([[0.0, 1.0]], np.float64))
    return builder.add("Softmax", scores, axis=1)


def _write_kernel_sum(
    estimator: Any, builder: GraphBuilder, tensor: str, weights: npt.ArrayLike, intercept: npt.ArrayLike
) -> str:
    """Write K(x, support vectors) @ weights + intercept; weights are [support vectors, sums]."""
    add = builder.add

    def constant(value: Any) -> str:
        return builder.constant(value, np.float64)

    vectors = np.asarray(getattr(estimator.support_vectors_, "toarray", lambda: estimator.support_vectors_)())
    gamma = float(estimator._gamma)  # what 'scale' and 'auto' became; scikit-learn keeps it nowhere else
    product = add("MatMul", tensor, constant(vectors.T))
    if estimator.kernel == "rbf":
        own = add("ReduceSum", add("Mul", tensor, tensor), builder.constant([1], np.int64), keepdims=1)
        squares = add("Add", own, constant((vectors**2).sum(axis=1)))
        distance = add("Sub", squares, add("Mul", product, constant(2.0)))
        product = add("Exp", add("Mul", distance, constant(-gamma)))
    elif estimator.kernel in ("poly", "sigmoid"):
        product = add("Add", add("Mul", product, constant(gamma)), constant(float(estimator.coef0)))
        if estimator.kernel == "poly":
            product = add("Pow", product, constant(float(estimator.degree)))
        else:
            product = add("Tanh", product)
    return add("Gemm", product, constant(np.asarray(weights)), constant(np.ravel(np.asarray(intercept))))


def _write_svc_scores(estimator: Any, builder: GraphBuilder, tensor: str) -> str:
    """Write an SVC's one-versus-rest scores, [N, 1] for two classes, else [N, classes].

    libsvm decides between every pair of classes; scikit-learn's scores are a class's votes, with the sum of its
    decisions squeezed into a third of a vote to break ties.
    """
    classes = len(estimator.classes_)
    if classes == 2:
        return _write_kernel_sum(estimator, builder, tensor, estimator.dual_coef_.T, estimator.intercept_)
    dual = np.asarray(getattr(estimator.dual_coef_, "toarray", lambda: estimator.dual_coef_)())
    owner = np.repeat(np.arange(classes), estimator.n_support_)
    pairs = [(first, second) for first in range(classes) for second in range(first + 1, classes)]
    weights, signs = np.zeros((len(owner), len(pairs))), np.zeros((len(pairs), classes))
    for position, (first, second) in enumerate(pairs):
        weights[:, position] = np.where(owner == first, dual[second - 1], np.where(owner == second, dual[first], 0.0))
        signs[position, first], signs[position, second] = 1.0, -1.0

    add = builder.add
    decisions = _write_kernel_sum(estimator, builder, tensor, weights, estimator.intercept_)
    sums = add("MatMul", decisions, builder.constant(signs, np.float64))
    lost = add("Cast", add("Less", decisions, builder.constant(0.0, np.float64)), to=DOUBLE)
    wins = builder.constant((signs > 0).sum(axis=0).astype(np.float64), np.float64)
    votes = add("Sub", wins, add("MatMul", lost, builder.constant(signs, np.float64)))
    one, three = builder.constant(1.0, np.float64), builder.constant(3.0, np.float64)
    squeeze = add("Mul", add("Add", add("Abs", sums), one), three)
    return add("Add", votes, add("Div", sums, squeeze))


def _write_calibrated(estimator: Any, builder: GraphBuilder, tensor: str) -> str:
    """Write Platt's sigmoid over the inner model's scores, divided by their sum where there are several."""
    check_calibrated(estimator)
    (fitted,) = estimator.calibrated_classifiers_
    inner, tensor = _write_steps(fitted.estimator, builder, tensor)
    write = _write_svc_scores if qualified_name(inner) == "sklearn.SVC" else _write_linear
    scores = write(inner, builder, tensor)
    slope = [-float(calibrator.a_) for calibrator in fitted.calibrators]
    offset = [-float(calibrator.b_) for calibrator in fitted.calibrators]

    add = builder.add
    margin = add("Mul", scores, builder.constant(slope, np.float64))
    margin = add("Add", margin, builder.constant(offset, np.float64))
    if len(slope) == 1:
        pair = add("MatMul", margin, builder.constant([[0.0, 1.0]], np.float64))
        return add("Softmax", pair, axis=1)
    shares = add("Sigmoid", margin)
    total = add("ReduceSum", shares, builder.constant([1], np.int64), keepdims=1)
    nothing = add("Equal", total, builder.constant(0.0, np.float64))
    uniform = builder.constant(1.0 / len(slope), np.float64)
    return add("Where", nothing, uniform, add("Div", shares, total))

"""Input models and small data sets that the export tests share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from rookery.export.convert import Exported, export_estimator
from rookery.export.derived import derive
from rookery.export.parity import ParityReport, prove
from rookery.fields.expression import Expression, col, distance_km, log1p
from rookery.fields.schema import InputSchema, read_input_model
from rookery.service.task import Classification, Regression, Task

Matrix = npt.NDArray[np.float32]

ROWS = 400


class House(BaseModel):
    """Numbers with bounds, an integer, a boolean and a category; no value may be missing."""

    area: float = Field(gt=0, le=500, examples=[80.0])
    distance: float = Field(ge=0, lt=50)
    latitude: float = Field(ge=32, le=42)
    longitude: float = Field(ge=-125, le=-114)
    rooms: int = Field(ge=1, le=12)
    garden: bool
    region: Literal["north", "south", "west"]


class Gauge(BaseModel):
    """Two numbers, one of which may be missing."""

    first: float = Field(ge=-10, le=10)
    second: float | None = Field(default=None, ge=-10, le=10)


HOUSE = read_input_model(House)
GAUGE = read_input_model(Gauge)
DERIVED: dict[str, Expression] = {
    "area_per_room": col("area") / col("rooms"),
    "log_distance": log1p(col("distance")),
    "to_city": distance_km(col("latitude"), col("longitude"), 37.77, -122.42),
    "is_large": col("area") > 250.0,
}
LABELS = {2: Classification("no", "yes"), 3: Classification("low", "middle", "high")}


def house_rows(seed: int = 0, rows: int = ROWS) -> Matrix:
    """Return random valid houses, float32 [rows, 7]."""
    draw = np.random.default_rng(seed)
    columns = [
        draw.uniform(10, 490, rows),
        draw.uniform(0, 49, rows),
        draw.uniform(32.5, 41.5, rows),
        draw.uniform(-124.5, -114.5, rows),
        draw.integers(1, 13, rows),
        draw.integers(0, 2, rows),
        draw.integers(0, 3, rows),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def house_prices(matrix: Matrix, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return noisy prices of houses, [n]: a target of some hundreds."""
    noise = np.random.default_rng(seed).normal(0, 20, len(matrix))
    curve = 40 * np.sin(matrix[:, 1] / 8) + np.where(matrix[:, 6] == 1, 60, 0) + 30 * matrix[:, 5]
    return np.asarray(matrix[:, 0] + curve + 8 * matrix[:, 4] + noise, dtype=np.float64)


def house_classes(matrix: Matrix, classes: int) -> npt.NDArray[np.int64]:
    """Return the prices' classes by equal shares, [n]: class indices as training gives them."""
    prices = house_prices(matrix)
    return np.digitize(prices, np.quantile(prices, np.arange(1, classes) / classes)).astype(np.int64)


def gauge_rows(seed: int = 0, rows: int = ROWS) -> Matrix:
    """Return gauges of which a third lacks the second value, float32 [rows, 2]."""
    draw = np.random.default_rng(seed)
    matrix = draw.uniform(-9, 9, (rows, 2)).astype(np.float32)
    matrix[draw.random(rows) < 0.33, 1] = np.nan
    return matrix


def fit_export_prove(
    estimator: Any,
    task: Task,
    *,
    schema: InputSchema = HOUSE,
    derived: Mapping[str, Expression] | None = None,
    matrix: Matrix | None = None,
    target: Any = None,
) -> tuple[Exported, ParityReport]:
    """Fit an estimator on houses, export it and prove the export on other houses."""
    derived = derived or {}
    rows = house_rows() if matrix is None else matrix
    if target is None:
        is_class = isinstance(task, Classification)
        target = house_classes(rows, len(task.labels)) if is_class else house_prices(rows)  # type: ignore[union-attr]
    estimator.fit(derive(schema, derived, rows), target)
    exported = export_estimator(estimator, schema=schema, derived=derived, task=task)
    other = house_rows(seed=1) if matrix is None else matrix
    return exported, prove(estimator, exported, schema=schema, derived=derived, task=task, matrix=other)


def encoded_columns(width: int) -> ColumnTransformer:
    """Return a transformer that scales the numbers and spreads the category over three columns."""
    others = [position for position in range(width) if position != 6]
    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), others),
            ("region", OneHotEncoder(categories=[[0.0, 1.0, 2.0]], sparse_output=False), [6]),
        ]
    )


def classifiers(width: int) -> dict[str, Any]:
    """Return one unfitted classifier of every supported kind and variant, for `width` features."""
    import lightgbm
    import xgboost

    def scaled(model: Any) -> Any:
        return make_pipeline(StandardScaler(), model)

    def calibrated(model: Any) -> Any:
        return CalibratedClassifierCV(model, ensemble=False, cv=3)

    return {
        "LogisticRegression": LogisticRegression(max_iter=2000),
        "scaled LogisticRegression": scaled(LogisticRegression()),
        "min-max LogisticRegression": make_pipeline(MinMaxScaler(clip=True), LogisticRegression()),
        "encoded LogisticRegression": make_pipeline(encoded_columns(width), LogisticRegression()),
        "imputed LogisticRegression": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
        "polynomial LogisticRegression": make_pipeline(
            StandardScaler(), PolynomialFeatures(3), LogisticRegression(max_iter=300)
        ),
        "calibrated SVC": scaled(calibrated(SVC())),
        "calibrated linear SVC": scaled(calibrated(SVC(kernel="linear"))),
        "calibrated polynomial SVC": scaled(calibrated(SVC(kernel="poly"))),
        "calibrated sigmoid SVC": scaled(calibrated(SVC(kernel="sigmoid"))),
        "calibrated pipeline": calibrated(scaled(SVC())),
        "calibrated LinearSVC": scaled(calibrated(LinearSVC())),
        "calibrated RidgeClassifier": scaled(calibrated(RidgeClassifier())),
        "calibrated LogisticRegression": scaled(calibrated(LogisticRegression())),
        "DecisionTreeClassifier": DecisionTreeClassifier(random_state=0),
        "RandomForestClassifier": RandomForestClassifier(20, random_state=0),
        "weighted RandomForestClassifier": RandomForestClassifier(20, class_weight="balanced", random_state=0),
        "ExtraTreesClassifier": ExtraTreesClassifier(10, random_state=0),
        "GradientBoostingClassifier": GradientBoostingClassifier(n_estimators=20, random_state=0),
        "HistGradientBoostingClassifier": HistGradientBoostingClassifier(max_iter=20, random_state=0),
        "XGBClassifier": xgboost.XGBClassifier(n_estimators=20, n_jobs=1),
        "pruned XGBClassifier": xgboost.XGBClassifier(n_estimators=20, gamma=2.0, n_jobs=1),
        "XGBRFClassifier": xgboost.XGBRFClassifier(n_estimators=10, n_jobs=1),
        "LGBMClassifier": lightgbm.LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1),
    }


def regressors(width: int) -> dict[str, Any]:
    """Return one unfitted regressor of every supported kind and variant, for `width` features."""
    import lightgbm
    import xgboost

    def scaled(model: Any) -> Any:
        return make_pipeline(StandardScaler(), model)

    return {
        "LinearRegression": LinearRegression(),
        "Ridge": Ridge(),
        "Lasso": Lasso(),
        "ElasticNet": ElasticNet(),
        "encoded Ridge": make_pipeline(encoded_columns(width), Ridge()),
        "polynomial Ridge": scaled(make_pipeline(PolynomialFeatures(2), Ridge())),
        "SVR": scaled(SVR(C=50)),
        "polynomial SVR": scaled(SVR(kernel="poly")),
        "unscaled SVR": SVR(C=50),
        "LinearSVR": scaled(LinearSVR(C=10, random_state=0, max_iter=20_000)),
        "DecisionTreeRegressor": DecisionTreeRegressor(random_state=0),
        "RandomForestRegressor": RandomForestRegressor(20, random_state=0),
        "ExtraTreesRegressor": ExtraTreesRegressor(10, random_state=0),
        "GradientBoostingRegressor": GradientBoostingRegressor(n_estimators=20, random_state=0),
        "huber GradientBoostingRegressor": GradientBoostingRegressor(n_estimators=20, loss="huber", random_state=0),
        "HistGradientBoostingRegressor": HistGradientBoostingRegressor(max_iter=20, random_state=0),
        "absolute HistGradientBoostingRegressor": HistGradientBoostingRegressor(max_iter=20, loss="absolute_error"),
        "XGBRegressor": xgboost.XGBRegressor(n_estimators=20, n_jobs=1),
        "absolute XGBRegressor": xgboost.XGBRegressor(n_estimators=20, objective="reg:absoluteerror", n_jobs=1),
        "XGBRFRegressor": xgboost.XGBRFRegressor(n_estimators=10, n_jobs=1),
        "LGBMRegressor": lightgbm.LGBMRegressor(n_estimators=20, n_jobs=1, verbose=-1),
        "quantile LGBMRegressor": lightgbm.LGBMRegressor(n_estimators=20, objective="quantile", n_jobs=1, verbose=-1),
    }


CLASSIFIERS = sorted(classifiers(7))
REGRESSORS = sorted(regressors(7))
REGRESSION = Regression(unit="k$")

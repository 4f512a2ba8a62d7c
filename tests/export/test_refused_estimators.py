"""What is outside the proven list is refused before any fit, with its reason and the way out."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

from rookery.errors import DataError, TrainingError, UnsupportedEstimator
from rookery.export.convert import export_estimator
from rookery.export.kinds import KINDS, check_estimator, describe_kind
from rookery.service.task import Classification
from tests.export.samples import (
    HOUSE,
    LABELS,
    REGRESSION,
    classifiers,
    house_classes,
    house_prices,
    house_rows,
    regressors,
)


class _OwnForest(RandomForestClassifier):
    """A subclass, which may answer otherwise than its parent."""


CLASSIFIER_REFUSALS: list[tuple[Any, str]] = [
    (SVC(probability=True), r"argmax is not its prediction.*CalibratedClassifierCV\(SVC\(\), ensemble=False\)"),
    (SVC(), r"no probabilities.*CalibratedClassifierCV"),
    (LinearSVC(), r"no probabilities.*CalibratedClassifierCV\(LinearSVC\(\), ensemble=False\)"),
    (RidgeClassifier(), r"no probabilities.*CalibratedClassifierCV\(RidgeClassifier\(\)"),
    (KNeighborsClassifier(), r"not in the list.*LogisticRegression.*XGBClassifier"),
    (AdaBoostClassifier(), r"not in the list"),
    (DummyClassifier(), r"not in the list"),
    (_OwnForest(), r"_OwnForest is not in the list"),
    (3, r"builtins.int is not in the list"),
    (make_pipeline(StandardScaler(), RandomForestClassifier()), r"StandardScaler before RandomForestClassifier.*trees"),
    (make_pipeline(StandardScaler(), xgboost.XGBClassifier()), r"StandardScaler before XGBClassifier"),
    (make_pipeline(OneHotEncoder(), xgboost.XGBClassifier()), r"OneHotEncoder before XGBClassifier.*raw columns"),
    (
        make_pipeline(ColumnTransformer([("o", OneHotEncoder(), [6])]), lightgbm.LGBMClassifier()),
        r"ColumnTransformer before LGBMClassifier",
    ),
    (make_pipeline(QuantileTransformer(), LogisticRegression()), r"QuantileTransformer is not proven.*StandardScaler"),
    (make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()), r"add_indicator"),
    (make_pipeline(OneHotEncoder(min_frequency=3), LogisticRegression()), r"infrequent categories"),
    (
        make_pipeline(
            ColumnTransformer([("s", StandardScaler(), [0])], transformer_weights={"s": 2.0}), LogisticRegression()
        ),
        r"transformer_weights",
    ),
    (CalibratedClassifierCV(SVC()), r"averages several models.*ensemble=False"),
    (CalibratedClassifierCV(SVC(), ensemble=False, method="isotonic"), r"method='isotonic'.*sigmoid"),
    (CalibratedClassifierCV(SVC(), ensemble=False, method="temperature"), r"method='temperature'.*sigmoid"),
    (CalibratedClassifierCV(ensemble=False), r"LinearSVC \(the default\) is not proven.*Calibrate one of"),
    (CalibratedClassifierCV(xgboost.XGBClassifier(), ensemble=False), r"calibrated XGBClassifier is not proven"),
    (CalibratedClassifierCV(SVC(kernel="precomputed"), ensemble=False), r"kernel='precomputed'.*rbf"),
    (CalibratedClassifierCV(SVC(decision_function_shape="ovo"), ensemble=False), r"ovo"),
    (HistGradientBoostingClassifier(categorical_features=[6]), r"categorical_features splits by sets"),
    (GradientBoostingClassifier(loss="exponential"), r"exponential.*log_loss"),
    (GradientBoostingClassifier(init=DummyClassifier()), r"starts from another model"),
    (xgboost.XGBClassifier(booster="dart"), r"booster='dart'.*gbtree"),
    (xgboost.XGBClassifier(booster="gblinear"), r"booster='gblinear'.*gbtree"),
    (xgboost.XGBClassifier(multi_strategy="multi_output_tree"), r"multi_output_tree.*one_output_per_tree"),
    (xgboost.XGBClassifier(objective="multi:softmax"), r"multi:softmax.*multi:softprob"),
    (xgboost.XGBClassifier(missing=0.0), r"missing=0.0.*missing=nan"),
    (xgboost.XGBClassifier(feature_types=["q"] * 6 + ["c"]), r"feature_types"),
    (lightgbm.LGBMClassifier(boosting_type="dart"), r"'dart'.*gbdt"),
    (lightgbm.LGBMClassifier(boosting_type="rf"), r"'rf'.*gbdt"),
    (lightgbm.LGBMClassifier(boosting="dart"), r"'dart'.*gbdt"),
    (lightgbm.LGBMClassifier(linear_tree=True), r"linear_tree has linear models"),
    (lightgbm.LGBMClassifier(objective="multiclassova"), r"multiclassova.*multiclass"),
    (lightgbm.LGBMClassifier(zero_as_missing=True), r"zero_as_missing"),
    (lightgbm.LGBMClassifier(categorical_feature=[6]), r"categorical_feature"),
    (LinearRegression(), r"LinearRegression is a regression model, the task is a classification.*LGBMClassifier"),
]

REGRESSOR_REFUSALS: list[tuple[Any, str]] = [
    (TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp), r"Transform the target"),
    (HistGradientBoostingRegressor(loss="poisson"), r"loss='poisson'.*exponential.*squared_error"),
    (HistGradientBoostingRegressor(loss="gamma"), r"loss='gamma'.*exponential"),
    (GradientBoostingRegressor(init="zero"), r"init='zero'"),
    (SVR(kernel="precomputed"), r"kernel='precomputed'"),
    (xgboost.XGBRegressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.9]), r"quantileerror.*squarederror"),
    (xgboost.XGBRegressor(objective="count:poisson"), r"count:poisson"),
    (xgboost.XGBRegressor(booster="gblinear"), r"gblinear"),
    (lightgbm.LGBMRegressor(objective="poisson"), r"poisson"),
    (lightgbm.LGBMRegressor(reg_sqrt=True), r"reg_sqrt squares"),
    (make_pipeline(StandardScaler(), HistGradientBoostingRegressor()), r"StandardScaler before HistGradient"),
    (LogisticRegression(), r"LogisticRegression is a classification model, the task is a regression"),
]


def _name(case: Any) -> str:
    return " ".join(str(case).split())[:50] if not isinstance(case, str) else ""


@pytest.mark.parametrize(("estimator", "message"), CLASSIFIER_REFUSALS, ids=_name)
def test_classifier_is_refused_before_any_fit(estimator: Any, message: str) -> None:
    with pytest.raises(UnsupportedEstimator, match=message):
        check_estimator(estimator, LABELS[2])


@pytest.mark.parametrize(("estimator", "message"), REGRESSOR_REFUSALS, ids=_name)
def test_regressor_is_refused_before_any_fit(estimator: Any, message: str) -> None:
    with pytest.raises(UnsupportedEstimator, match=message):
        check_estimator(estimator, REGRESSION)


def test_all_supported_variants_pass_the_check_unfitted() -> None:
    for estimator in classifiers(HOUSE.width).values():
        check_estimator(estimator, LABELS[2])
    for estimator in regressors(HOUSE.width).values():
        check_estimator(estimator, REGRESSION)


def test_the_refusal_lists_every_supported_estimator() -> None:
    with pytest.raises(UnsupportedEstimator) as caught:
        check_estimator(KNeighborsClassifier(), LABELS[2])
    for name in KINDS:
        assert name.partition(".")[2] in str(caught.value)


def test_two_targets_are_refused_after_the_fit() -> None:
    rows = house_rows()
    targets = np.stack([house_prices(rows), house_prices(rows, seed=1)], axis=1)
    for estimator in (RandomForestRegressor(3), LinearRegression(), xgboost.XGBRegressor(n_estimators=2)):
        estimator.fit(rows, targets)
        with pytest.raises(UnsupportedEstimator, match="2 targets"):
            export_estimator(estimator, schema=HOUSE, derived={}, task=REGRESSION)


def test_categories_given_at_the_fit_are_refused_after_it() -> None:
    rows = house_rows()
    estimator = lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=2, max_cat_to_onehot=1, verbose=-1)
    estimator.fit(rows[:, [6]], rows[:, 6] == 1, categorical_feature=[0])
    frame_schema = type(HOUSE)(HOUSE.model, HOUSE.columns[6:])
    with pytest.raises(UnsupportedEstimator, match="categorical splits"):
        export_estimator(estimator, schema=frame_schema, derived={}, task=LABELS[2])


def test_classes_that_are_no_labels_are_refused() -> None:
    rows = house_rows()
    estimator = RandomForestClassifier(2).fit(rows, np.where(house_classes(rows, 2) == 1, "cat", "dog"))
    with pytest.raises(TrainingError, match=r"classes cat, dog.*labels are no, yes"):
        export_estimator(estimator, schema=HOUSE, derived={}, task=LABELS[2], class_names="labels")
    lacking = RandomForestClassifier(2).fit(rows, house_classes(rows, 2))
    with pytest.raises(TrainingError, match=r"classes 0, 1.*low, middle, high"):
        export_estimator(lacking, schema=HOUSE, derived={}, task=LABELS[3])


def test_numeric_labels_in_another_order_are_told_from_indices() -> None:
    """The same classes 0, 1, 2 are positions for training and labels for a model that existed before."""
    from rookery.export.original import class_order

    rows = house_rows()
    estimator = RandomForestClassifier(2).fit(rows, house_classes(rows, 3))
    task = Classification(2, 1, 0)
    assert class_order(estimator, task, "indices") == [0, 1, 2]
    assert class_order(estimator, task, "labels") == [2, 1, 0]


def test_other_columns_than_the_input_models_are_refused() -> None:
    rows = house_rows()
    with pytest.raises(DataError, match=r"fitted on 6 columns, the input has 7"):
        export_estimator(LinearRegression().fit(rows[:, :6], rows[:, 0]), schema=HOUSE, derived={}, task=REGRESSION)


def test_data_frame_columns_in_another_order_are_refused_with_the_order() -> None:
    from pandas import DataFrame

    names = [column.name for column in HOUSE.columns]
    frame = DataFrame(house_rows(), columns=names)
    for shuffled, message in (
        (names[1:] + names[:1], r"'distance' at position 0.*in the order it was fitted on: distance"),
        ([*names[:-1], "quarter"], r"'quarter' at position 6, the input has 'region'"),
    ):
        renamed = frame.rename(columns={"region": shuffled[-1]}) if "quarter" in shuffled else frame
        estimator = RandomForestRegressor(2).fit(renamed[shuffled], house_prices(house_rows()))
        with pytest.raises(DataError, match=message):
            export_estimator(estimator, schema=HOUSE, derived={}, task=REGRESSION)


def test_kinds_are_described_in_words() -> None:
    calibrated = CalibratedClassifierCV(SVC(), ensemble=False)
    assert describe_kind(make_pipeline(StandardScaler(), calibrated)) == "StandardScaler + calibrated SVC"

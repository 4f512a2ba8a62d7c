"""Every supported estimator answers through its graph as it does itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from rookery.errors import ParityError
from rookery.export.kinds import KINDS
from rookery.export.runner import GraphRunner
from rookery.service.task import Classification
from tests.export.samples import (
    CLASSIFIERS,
    DERIVED,
    GAUGE,
    HOUSE,
    LABELS,
    REGRESSION,
    REGRESSORS,
    classifiers,
    fit_export_prove,
    gauge_rows,
    house_rows,
    regressors,
)


@pytest.fixture(autouse=True)
def _without_fit_warnings() -> Iterator[None]:
    """Small data makes solvers complain of convergence, which is not what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_is_proven_on_raw_columns(name: str, classes: int) -> None:
    exported, report = fit_export_prove(classifiers(HOUSE.width)[name], LABELS[classes])
    assert report.max_difference <= 1e-5
    assert report.excused == 0
    assert {"rows", "categories", "bounds", "single"} <= report.probes.keys()
    probabilities = GraphRunner(exported.model).run(house_rows(seed=2))
    assert probabilities.shape == (400, classes)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_is_proven_behind_derived_features(name: str) -> None:
    _, report = fit_export_prove(classifiers(HOUSE.width + len(DERIVED))[name], LABELS[3], derived=DERIVED)
    assert report.max_difference <= 1e-5


@pytest.mark.parametrize("derived", [{}, DERIVED], ids=["raw", "derived"])
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressor_is_proven(name: str, derived: dict[str, object]) -> None:
    exported, report = fit_export_prove(
        regressors(HOUSE.width + len(derived))[name],
        REGRESSION,
        derived=derived,  # type: ignore[arg-type]
    )
    assert report.max_difference <= 1e-4
    assert report.excused == 0
    values = GraphRunner(exported.model).run(house_rows(seed=2))
    assert values.shape == (400,)
    assert values.dtype == np.float32


def test_every_kind_in_the_list_has_a_parity_test() -> None:
    named = " ".join([*CLASSIFIERS, *REGRESSORS]) + " CalibratedClassifierCV"
    assert [name for name in KINDS if name.partition(".")[2] not in named] == []


def test_tree_thresholds_are_probed_on_both_sides() -> None:
    _, report = fit_export_prove(classifiers(HOUSE.width)["XGBClassifier"], LABELS[3])
    assert report.thresholds_probed == report.thresholds > 0
    assert report.probes["thresholds"] == 3 * report.thresholds


@pytest.mark.parametrize(
    "name",
    [
        "HistGradientBoostingClassifier",
        "LGBMClassifier",
        "XGBClassifier",
        "RandomForestClassifier",
        "DecisionTreeClassifier",
        "ExtraTreesClassifier",
        "imputed LogisticRegression",
    ],
)
def test_missing_optional_values_are_proven(name: str) -> None:
    matrix = gauge_rows()
    target = (np.nan_to_num(matrix[:, 1], nan=5.0) + matrix[:, 0] > 0).astype(int)
    _, report = fit_export_prove(classifiers(HOUSE.width)[name], LABELS[2], schema=GAUGE, matrix=matrix, target=target)
    assert report.probes["missing"] > 0


@pytest.mark.parametrize("name", ["LGBMClassifier", "XGBClassifier", "HistGradientBoostingClassifier"])
def test_missing_values_that_training_never_saw_are_proven_too(name: str) -> None:
    matrix = np.nan_to_num(gauge_rows(), nan=1.5)
    target = (matrix[:, 1] + matrix[:, 0] > 0).astype(int)
    _, report = fit_export_prove(classifiers(HOUSE.width)[name], LABELS[2], schema=GAUGE, matrix=matrix, target=target)
    assert report.probes["missing"] > 0


def test_an_estimator_that_takes_no_missing_value_is_refused_for_an_optional_column() -> None:
    matrix = np.nan_to_num(gauge_rows(), nan=1.5)
    with pytest.raises(ParityError, match=r"LogisticRegression refuses rows with a missing.*SimpleImputer"):
        fit_export_prove(
            LogisticRegression(), LABELS[2], schema=GAUGE, matrix=matrix, target=(matrix[:, 0] > 0).astype(int)
        )


def test_large_targets_keep_their_digits() -> None:
    """Prices of half a million with a spread of some tens of thousands are within the tolerance."""
    target = 500_000 + 100 * house_rows()[:, 0].astype(np.float64)
    for name in ("RandomForestRegressor", "LinearRegression", "HistGradientBoostingRegressor", "LGBMRegressor"):
        _, report = fit_export_prove(regressors(HOUSE.width)[name], REGRESSION, target=target)
        assert report.max_difference <= 1e-4, name


def test_a_target_beyond_float32_is_refused_with_the_cure() -> None:
    """A mean of ten million with a spread of one cannot be told in float32."""
    target = 1e7 + house_rows()[:, 4] / 4.0
    with pytest.raises(ParityError, match="standardise the target"):
        fit_export_prove(regressors(HOUSE.width)["LinearRegression"], REGRESSION, target=target)


def test_early_stopping_answers_with_the_best_round() -> None:
    import lightgbm
    import xgboost

    from rookery.export.convert import export_estimator
    from rookery.export.parity import prove
    from tests.export.samples import house_classes

    rows, held = house_rows(), house_rows(seed=1)
    held_target = np.random.default_rng(0).permutation(house_classes(held, 2))
    boosted = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=3, n_jobs=1)
    boosted.fit(rows, house_classes(rows, 2), eval_set=[(held, held_target)], verbose=False)
    light = lightgbm.LGBMClassifier(n_estimators=60, n_jobs=1, verbose=-1)
    light.fit(
        rows,
        house_classes(rows, 2),
        eval_set=[(held, held_target)],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )
    assert boosted.best_iteration < 55
    assert 0 < light.best_iteration_ < 60
    for estimator in (boosted, light):
        exported = export_estimator(estimator, schema=HOUSE, derived={}, task=LABELS[2])
        prove(estimator, exported, schema=HOUSE, derived={}, task=LABELS[2], matrix=held)


def test_string_labels_keep_the_tasks_order() -> None:
    """classes_ are sorted by the library, the task's labels are not."""
    from rookery.export.convert import export_estimator
    from rookery.export.parity import prove
    from tests.export.samples import house_classes

    rows, task = house_rows(), Classification("low", "middle", "high")
    names = np.asarray(task.labels)[house_classes(rows, 3)]
    for estimator in (RandomForestClassifier(5, random_state=0), HistGradientBoostingClassifier(max_iter=5)):
        estimator.fit(rows, names)
        exported = export_estimator(estimator, schema=HOUSE, derived={}, task=task, class_names="labels")
        answers = np.asarray(task.labels)[GraphRunner(exported.model).run(rows).argmax(axis=1)]
        assert (answers == estimator.predict(rows)).mean() > 0.9  # a forest of five has ties
        prove(estimator, exported, schema=HOUSE, derived={}, task=task, matrix=rows, class_names="labels")


def test_an_imputer_before_a_model_of_required_columns_changes_nothing() -> None:
    _, report = fit_export_prove(make_pipeline(SimpleImputer(), LogisticRegression(max_iter=2000)), LABELS[2])
    assert "missing" not in report.probes

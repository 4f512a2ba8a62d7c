"""Models that exist already become packages that open, answer as they did, and say where their facts come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pytest
import xgboost
from pandas import DataFrame
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rookery.errors import DataError, DefinitionError, PackageError, ParityError, UnsupportedEstimator
from rookery.export.convert import export_estimator
from rookery.export.derived import derive
from rookery.export.existing import load_fitted, package_model
from rookery.export.invented import invent_rows
from rookery.fields.expression import Rule, col
from rookery.fields.rules import broken_rules
from rookery.package.opener import open_package
from rookery.service.task import Classification, Regression
from tests.export.samples import (
    DERIVED,
    GAUGE,
    HOUSE,
    LABELS,
    Gauge,
    House,
    gauge_rows,
    house_classes,
    house_prices,
    house_rows,
)


def _package(destination: Path, model: Any, **declared: Any) -> Any:
    defaults: dict[str, Any] = {"name": "houses", "input": House, "task": LABELS[3]}
    package_model(model, destination=destination, **(defaults | declared))
    return open_package(destination)


def test_a_fitted_estimator_becomes_a_whole_package(tmp_path: Path) -> None:
    rows = house_rows()
    estimator = xgboost.XGBClassifier(n_estimators=10, n_jobs=1).fit(rows, house_classes(rows, 3))
    package = _package(tmp_path / "package", estimator, sample=rows, title="Houses", description="Prices by class.")
    np.testing.assert_allclose(package.run(rows), estimator.predict_proba(rows), atol=1e-5)
    manifest = package.manifest
    assert manifest.candidate == "XGBClassifier"
    assert manifest.provenance.dataset is not None
    assert manifest.provenance.dataset.rows == len(rows)
    assert manifest.provenance.libraries["onnx"]
    metrics = json.loads((tmp_path / "package" / "metrics.json").read_text())
    assert metrics["parity"]["max_difference"] <= 1e-5
    assert metrics["sample"] == {"rows": 400, "source": "rows given when the package was made", "invented": False}
    card = (tmp_path / "package" / "MODEL_CARD.md").read_text()
    assert "# Houses" in card
    assert "XGBClassifier" in card
    assert len(package.golden) >= 20


def test_without_a_sample_rows_are_invented_and_the_package_says_so(tmp_path: Path) -> None:
    rows = house_rows()
    estimator = make_pipeline(StandardScaler(), LinearRegression()).fit(rows, house_prices(rows))
    package = _package(tmp_path / "package", estimator, task=Regression(unit="k$"))
    assert package.manifest.provenance.dataset is None
    assert "invented uniformly" in (tmp_path / "package" / "MODEL_CARD.md").read_text()
    assert json.loads((tmp_path / "package" / "metrics.json").read_text())["sample"]["invented"] is True


def test_string_classes_and_a_data_frame_fit_are_mapped_to_the_task(tmp_path: Path) -> None:
    rows, labels = house_rows(), np.asarray(["low", "middle", "high"])
    frame = DataFrame(rows, columns=[column.name for column in HOUSE.columns])
    estimator = lightgbm.LGBMClassifier(n_estimators=10, n_jobs=1, verbose=-1)
    estimator.fit(frame, labels[house_classes(rows, 3)])
    package = _package(tmp_path / "package", estimator, sample=rows)
    probabilities = np.asarray(estimator.predict_proba(frame))
    proba = dict(zip(estimator.classes_, probabilities.T, strict=True))
    np.testing.assert_allclose(package.run(rows), np.stack([proba[label] for label in labels], axis=1), atol=1e-5)


def test_derived_features_are_part_of_the_package(tmp_path: Path) -> None:
    rows = house_rows()
    estimator = LinearRegression().fit(derive(HOUSE, DERIVED, rows), house_prices(rows))
    package = _package(tmp_path / "package", estimator, task=Regression(), derived=DERIVED, sample=rows)
    assert [feature.name for feature in package.manifest.input.derived] == list(DERIVED)
    np.testing.assert_allclose(package.run(rows), estimator.predict(derive(HOUSE, DERIVED, rows)), rtol=1e-4)


def test_an_onnx_model_becomes_a_package_and_comes_out_unchanged(tmp_path: Path) -> None:
    rows = house_rows()
    estimator = xgboost.XGBClassifier(n_estimators=10, n_jobs=1).fit(rows, house_classes(rows, 3))
    model = export_estimator(estimator, schema=HOUSE, derived={}, task=LABELS[3]).model
    package = _package(tmp_path / "package", model, sample={c.name: _plain(c.name, rows) for c in HOUSE.columns})
    np.testing.assert_allclose(package.run(rows), estimator.predict_proba(rows), atol=1e-5)
    assert package.manifest.candidate == "onnx"
    assert json.loads((tmp_path / "package" / "metrics.json").read_text())["parity"] is None


def _plain(name: str, rows: Any) -> list[Any]:
    position = [column.name for column in HOUSE.columns].index(name)
    column = HOUSE.columns[position]
    if column.kind == "category":
        return [column.categories[int(code)] for code in rows[:, position]]
    kind = {"number": float, "integer": int, "boolean": bool}[column.kind]
    return [kind(value) for value in rows[:, position]]


def test_the_same_model_and_sample_give_the_same_content_digest(tmp_path: Path) -> None:
    rows = house_rows()
    estimator = LinearRegression().fit(rows, house_prices(rows))
    digests = {
        _package(tmp_path / name, estimator, task=Regression(), sample=rows).manifest.content_digest
        for name in ("first", "second")
    }
    assert len(digests) == 1


def test_mistakes_leave_no_folder(tmp_path: Path) -> None:
    rows = house_rows()
    estimator = LinearRegression().fit(rows, house_prices(rows))
    logistic = LogisticRegression(max_iter=2000).fit(gauge_rows()[:, :1].repeat(2, axis=1), gauge_rows()[:, 0] > 0)
    target, regression = tmp_path / "package", Regression()
    mistakes: list[tuple[type[Exception], str, Any, dict[str, Any]]] = [
        (UnsupportedEstimator, "not in the list", object(), {}),
        (UnsupportedEstimator, "is a regression model", estimator, {}),
        (DefinitionError, "cannot be a URL's part", estimator, {"name": "A b", "task": regression}),
        (DefinitionError, "describe an ONNX model", estimator, {"task": regression, "output": "value"}),
        (DefinitionError, "computes its features itself", b"onnx", {"derived": DERIVED}),
        (DataError, r"shape \[400, 3\]", estimator, {"task": regression, "sample": rows[:, :3]}),
        (DataError, "infinite numbers", estimator, {"task": regression, "sample": np.full_like(rows, np.inf)}),
        (DataError, "fitted on 7 columns, the input has 2", estimator, {"task": regression, "input": Gauge}),
        (ParityError, "refuses rows with a missing|refuses rows", logistic, {"task": LABELS[2], "input": Gauge}),
    ]
    for error, message, model, declared in mistakes:
        with pytest.raises(error, match=message):
            _package(target, model, **declared)
        assert not target.exists()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    rows = house_rows()
    estimator = LinearRegression().fit(rows, house_prices(rows))
    _package(tmp_path / "package", estimator, task=Regression(), sample=rows)
    with pytest.raises(PackageError, match="already exists"):
        _package(tmp_path / "package", estimator, task=Regression(), sample=rows)


def test_a_pickle_is_loaded_only_when_trusted(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(LinearRegression().fit(house_rows(), house_prices(house_rows())), path)
    with pytest.raises(PackageError, match=r"can run any code when it is opened.*--trust"):
        load_fitted(path, trust=False)
    assert isinstance(load_fitted(path, trust=True), LinearRegression)


def test_a_file_that_is_no_pickle_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    with pytest.raises(PackageError, match="no such file"):
        load_fitted(path, trust=True)
    path.write_bytes(b"not a pickle")
    with pytest.raises(PackageError, match="cannot be loaded"):
        load_fitted(path, trust=True)


def test_invented_rows_are_valid_within_bounds_and_rules_and_the_same_every_time() -> None:
    rules = (Rule(col("area") >= 10 * col("rooms"), "rooms are larger than that", ("area", "rooms")),)
    rows = invent_rows(HOUSE, 300, rules=rules)
    assert len(rows) == 300
    assert broken_rules(rules, HOUSE, rows) == []
    np.testing.assert_array_equal(rows, invent_rows(HOUSE, 300, rules=rules))
    from rookery.fields.encoder import Encoder
    from rookery.package.digests import canonical_json

    encoder = Encoder(HOUSE)
    for row in rows[:50]:
        HOUSE.model.model_validate_json(canonical_json(encoder.decode_row(row)))
    missing = np.isnan(invent_rows(GAUGE, 500)[:, 1]).mean()
    assert 0.02 < missing < 0.3


def test_rules_that_no_row_meets_are_a_clear_error(tmp_path: Path) -> None:
    rows = house_rows()
    estimator = LinearRegression().fit(rows, house_prices(rows))
    rules = (Rule(col("area") < col("area"), "impossible"),)
    with pytest.raises(DataError, match="no row invented"):
        _package(tmp_path / "package", estimator, task=Regression(), rules=rules)


def test_numeric_labels_are_taken_by_name(tmp_path: Path) -> None:
    rows = house_rows()
    estimator = LogisticRegression(max_iter=3000).fit(rows, house_classes(rows, 3))
    package = _package(tmp_path / "package", estimator, task=Classification(2, 1, 0), sample=rows)
    np.testing.assert_allclose(package.run(rows), estimator.predict_proba(rows)[:, ::-1], atol=1e-5)

"""Exported graphs: deterministic bytes, one output, only ONNX's own operators."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto

from rookery.export.convert import export_estimator
from rookery.export.derived import derive
from rookery.export.forest import floor_float32
from rookery.package.graph import inspect_graph
from rookery.package.session import OnnxSession
from tests.export.samples import (
    CLASSIFIERS,
    DERIVED,
    HOUSE,
    LABELS,
    REGRESSION,
    classifiers,
    fit_export_prove,
    house_classes,
    house_rows,
    regressors,
)

SCRIPT = """
import hashlib, sys
from rookery.export.convert import export_estimator
from rookery.export.derived import derive
from tests.export.samples import DERIVED, HOUSE, LABELS, classifiers, house_classes, house_rows
rows = house_rows()
for name in sys.argv[1:]:
    estimator = classifiers(11)[name].fit(derive(HOUSE, DERIVED, rows), house_classes(rows, 3))
    exported = export_estimator(estimator, schema=HOUSE, derived=DERIVED, task=LABELS[3])
    print(name, hashlib.sha256(exported.model).hexdigest())
"""
NAMES = [
    "encoded LogisticRegression",
    "calibrated SVC",
    "RandomForestClassifier",
    "HistGradientBoostingClassifier",
    "XGBClassifier",
    "LGBMClassifier",
]


def test_fits_and_exports_in_other_processes_give_the_same_bytes(repository: Path) -> None:
    """The order of sets and dictionaries differs between these processes, and so does the number of threads."""
    found = []
    for seed, threads in (("1", "1"), ("2", "2")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads, "PYTHONWARNINGS": "ignore"}
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT, *NAMES],
            cwd=repository,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(result.stdout)
    rows = house_rows()
    here = []
    for name in NAMES:
        estimator = classifiers(11)[name].fit(derive(HOUSE, DERIVED, rows), house_classes(rows, 3))
        model = export_estimator(estimator, schema=HOUSE, derived=DERIVED, task=LABELS[3]).model
        here.append(f"{name} {hashlib.sha256(model).hexdigest()}\n")
    assert found == ["".join(here)] * 2


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_graph_has_one_named_input_and_output_and_passes_the_packages_judge(name: str) -> None:
    rows = house_rows()
    estimator = classifiers(HOUSE.width)[name].fit(rows, house_classes(rows, 2))
    exported = export_estimator(estimator, schema=HOUSE, derived={}, task=LABELS[2])
    facts = inspect_graph(exported.model)
    assert [(t.name, t.dtype, t.shape) for t in facts.inputs] == [("columns", "float32", (None, 7))]
    assert [(t.name, t.dtype, t.shape) for t in facts.outputs] == [("probabilities", "float32", (None, 2))]
    assert {domain for domain, _ in facts.opsets} <= {"", "ai.onnx.ml"}
    model = ModelProto.FromString(exported.model)
    used = {name for node in model.graph.node for name in node.input} | {"probabilities"}
    assert all(set(node.output) & used for node in model.graph.node), "a node leads nowhere"
    assert {tensor.name for tensor in model.graph.initializer} <= used, "a constant is not read"


def test_the_packages_session_runs_an_export() -> None:
    exported, _ = fit_export_prove(regressors(HOUSE.width)["XGBRegressor"], REGRESSION)
    session = OnnxSession(exported.model, exported.tensors)
    assert session.run(house_rows(rows=3)).shape == (3,)


def test_float32_thresholds_decide_as_the_float64_ones_do() -> None:
    """Random thresholds around float32 values: x <= t is unchanged for the float32 values about t."""
    draw = np.random.default_rng(0)
    values = draw.normal(0, 100, 2000).astype(np.float32)
    thresholds = values.astype(np.float64) * (1 + draw.choice([-4e-8, -1e-9, 0.0, 1e-9, 4e-8], 2000))
    rounded = floor_float32(thresholds)
    for step in (-np.inf, None, np.inf):
        x = values if step is None else np.nextafter(values, np.float32(step))
        np.testing.assert_array_equal(x.astype(np.float64) <= thresholds, x <= rounded)
    assert floor_float32(np.asarray([1e300]))[0] == np.finfo(np.float32).max
    assert floor_float32(np.asarray([np.inf]))[0] == np.inf


def test_rounding_to_nearest_would_be_wrong() -> None:
    """The control of the test above: plain rounding sends values down the other branch."""
    value = np.float32(0.1)
    threshold = np.asarray([float(value) * (1 - 1e-9)])
    assert not float(value) <= threshold[0]
    assert value <= threshold.astype(np.float32)[0]
    assert not value <= floor_float32(threshold)[0]


def test_exports_run_on_this_onnxruntime_without_a_warning_of_opsets() -> None:
    exported, _ = fit_export_prove(classifiers(HOUSE.width)["XGBClassifier"], LABELS[2])
    model = ModelProto.FromString(exported.model)
    assert {item.domain: item.version for item in model.opset_import} == {"": 18, "ai.onnx.ml": 3}
    assert model.producer_name == model.graph.name == "rookery"
    assert not model.doc_string
    onnxruntime.InferenceSession(exported.model, providers=["CPUExecutionProvider"])

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from tests.cli.conftest import WINE, run_command

MODULE = """
from pydantic import BaseModel, Field
from sklearn.datasets import load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class Wine(BaseModel):
    alcohol: float = Field(ge=8, le=20)
    flavanoids: float = Field(ge=0, le=10)
    color_intensity: float = Field(ge=0, le=20)
    proline: float = Field(ge=100, le=3000)


data = load_wine(as_frame=True)
rows = data.data[["alcohol", "flavanoids", "color_intensity", "proline"]]
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows.to_numpy(), data.target)
price = LinearRegression().fit(rows.to_numpy(), data.target)
not_a_model = 3
"""


@pytest.fixture
def module(tmp_path: Path) -> str:
    """A user's module in the working directory, with a name that no other test imports."""
    name = f"wines_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    return name


def test_a_fitted_estimator_becomes_a_package_that_answers(module: str, tmp_path: Path) -> None:
    outcome = run_command(
        tmp_path,
        *("package", "--from", f"{module}:model", "--input", f"{module}:Wine", "--name", "wines"),
        *("--labels", "north,middle,south", "--out", "wines-package"),
    )
    assert outcome.code == 0, outcome.stderr
    assert "rookery serve --package wines-package" in outcome.stdout
    stdin = json.dumps(WINE).encode()
    answer = run_command(tmp_path, "predict", "--package", "wines-package", stdin=stdin).json()
    assert answer["prediction"] == "north"
    assert set(answer["probabilities"]) == {"north", "middle", "south"}


def test_without_labels_the_models_own_classes_are_taken_and_a_regressor_is_a_regression(
    module: str, tmp_path: Path
) -> None:
    base = ("package", "--input", f"{module}:Wine", "--json")
    classes = run_command(tmp_path, *base, "--from", f"{module}:model", "--name", "a", "--out", "a").json()
    assert classes["manifest"]["task"] == {"kind": "classification", "labels": ["0", "1", "2"]}
    number = run_command(
        tmp_path, *base, "--from", f"{module}:price", "--name", "b", "--out", "b", "--unit", "$"
    ).json()
    assert number["manifest"]["task"] == {"kind": "regression", "unit": "$"}


def test_the_sample_becomes_the_profile(module: str, tmp_path: Path) -> None:
    lines = ["alcohol,flavanoids,color_intensity,proline,grower"]
    lines += [f"{12 + i / 20},{1 + i / 50},{3 + i / 30},{500 + 10 * i},x" for i in range(60)]
    (tmp_path / "sample.csv").write_text("\n".join(lines))
    outcome = run_command(
        tmp_path,
        *("package", "--from", f"{module}:model", "--input", f"{module}:Wine", "--name", "wines", "--out", "out"),
        *("--sample", "sample.csv", "--json"),
    )
    assert outcome.code == 0, outcome.stderr
    assert outcome.json()["manifest"]["provenance"]["dataset"]["rows"] == 60


def test_a_joblib_file_is_opened_only_if_it_is_trusted(module: str, tmp_path: Path) -> None:
    import joblib
    from sklearn.linear_model import LinearRegression

    joblib.dump(LinearRegression().fit([[1, 2, 3, 4], [2, 3, 4, 6], [0, 1, 1, 1]], [1, 2, 3]), tmp_path / "m.joblib")
    command = ("package", "--from", "m.joblib", "--input", f"{module}:Wine", "--name", "wines", "--out", "out")
    refused = run_command(tmp_path, *command)
    assert refused.code == 8
    assert "--trust" in refused.stderr
    assert not (tmp_path / "out").exists()
    assert run_command(tmp_path, *command, "--trust").code == 0


def test_an_onnx_file_becomes_a_package(module: str, tmp_path: Path, penguins_package: Path) -> None:
    from rookery.package.manifest import read_manifest
    from rookery.package.opener import open_package

    fields = "\n".join(f"    {column.name}: float" for column in read_manifest(penguins_package).columns)
    name = f"birds_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(f"from pydantic import BaseModel\n\n\nclass Bird(BaseModel):\n{fields}\n")
    outcome = run_command(
        tmp_path,
        *("package", "--from", str(penguins_package / "model.onnx"), "--input", f"{name}:Bird", "--name", "birds"),
        *("--labels", "Adelie,Chinstrap,Gentoo", "--out", "birds"),
    )
    assert outcome.code == 0, outcome.stderr
    assert open_package(tmp_path / "birds").manifest.service == "birds"


@pytest.mark.parametrize(
    ("origin", "input_model", "code", "message"),
    [
        ("{}:missing", "{}:Wine", 4, "cannot be loaded: AttributeError"),
        ("no_such_module_anywhere:model", "{}:Wine", 4, "cannot be loaded: ModuleNotFoundError"),
        ("model", "{}:Wine", 4, "Write module:object"),
        ("missing.onnx", "{}:Wine", 8, "missing.onnx cannot be read"),
        ("{}:model", "{}:model", 4, "is no pydantic model"),
        ("{}:not_a_model", "{}:Wine", 6, "int"),
    ],
)
def test_what_cannot_be_packaged_is_refused_by_name(
    origin: str, input_model: str, code: int, message: str, module: str, tmp_path: Path
) -> None:
    outcome = run_command(
        tmp_path,
        *("package", "--from", origin.format(module), "--input", input_model.format(module)),
        *("--name", "wines", "--out", "out"),
    )
    assert outcome.code == code, outcome.stderr
    assert message in outcome.stderr
    assert not (tmp_path / "out").exists()

"""The package root: what it exports, and what importing it costs."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import rookery
from rookery import errors

VOCABULARY = {
    *("Service", "Classification", "Regression", "Dataset", "Prediction", "Pretrained"),
    *("Image", "PicturePrediction", "imagenet_labels", "imagenet_names"),
    *("Gate", "Limits", "Rollout", "Cache"),
    *("Rule", "Expression", "col", "log", "log1p", "exp", "sqrt", "minimum", "maximum", "distance_km", "inside"),
    "__version__",
}
ERRORS = {
    *("RookeryError", "DefinitionError", "SettingError", "DataError", "ServeError"),
    *("TrainingError", "UnsupportedEstimator", "ParityError", "GateError"),
    *("PackageError", "GoldenMismatch", "RegistryError", "VersionNotFound"),
    *("RequestError", "InvalidInput", "InvalidPicture", "DownloadError"),
}
RUNNING = {"cv2", "fastapi", "lightgbm", "mlflow", "onnx", "onnxruntime", "pandas", "scipy", "sklearn", "starlette"}
RUNNING |= {"PIL", "redis", "simplejpeg", "typer", "uvicorn", "xgboost"}


def test_the_root_exports_the_vocabulary_and_nothing_else() -> None:
    assert set(rookery.__all__) == VOCABULARY | ERRORS
    assert rookery.__all__ == sorted(rookery.__all__)


def type_checked_imports() -> dict[str, str]:
    """Return what type checkers are told: each name, and the module that defines it."""
    tree = ast.parse(Path(rookery.__file__).read_text())
    branches = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for branch in branches for node in branch.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_type_checkers_and_programs_are_told_the_same() -> None:
    """A name comes from the module that type checkers see, whenever it is first asked for."""
    told = type_checked_imports()
    assert {*told, "__version__"} == set(rookery.__all__)
    for name, module in told.items():
        assert getattr(rookery, name) is getattr(importlib.import_module(module), name)


def test_every_export_is_listed_and_anything_else_is_no_attribute() -> None:
    assert set(rookery.__all__) <= set(dir(rookery))
    with pytest.raises(AttributeError, match="'Servic'"):
        rookery.Servic  # noqa: B018


def test_every_export_has_a_docstring() -> None:
    exports = [getattr(rookery, name) for name in rookery.__all__ if name != "__version__"]
    assert [export for export in exports if not (export.__doc__ or "").strip()] == []


def test_exported_errors_are_those_of_the_tree() -> None:
    for name in ERRORS:
        assert getattr(rookery, name) is getattr(errors, name)
        assert issubclass(getattr(rookery, name), rookery.RookeryError)


def test_the_version_is_the_distributions() -> None:
    assert rookery.__version__ == importlib.metadata.version("rookery")


def loaded_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after a statement."""
    script = f"{statement}; import sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_root_costs_nothing_until_a_name_is_asked_for() -> None:
    loaded = loaded_after("import rookery")
    assert "rookery" in loaded
    assert not loaded & {"numpy", "pydantic", *RUNNING}


def test_the_whole_vocabulary_runs_no_server_and_no_trainer() -> None:
    """Only what declares a service is loaded: neither training libraries, nor the server's."""
    loaded = loaded_after("from rookery import *; Service, col")
    assert {"rookery", "pydantic"} <= loaded
    assert not loaded & RUNNING

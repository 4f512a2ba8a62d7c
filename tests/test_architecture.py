"""The package root: what it exports, and what importing it costs."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import rookery
from rookery import errors

VOCABULARY = {
    *("Service", "Classification", "Regression", "Dataset", "Prediction"),
    *("Gate", "Limits", "Rollout", "Cache"),
    *("Rule", "Expression", "col", "log", "log1p", "exp", "sqrt", "minimum", "maximum", "distance_km", "inside"),
    "__version__",
}
ERRORS = {
    *("RookeryError", "DefinitionError", "SettingError", "DataError", "ServeError"),
    *("TrainingError", "UnsupportedEstimator", "ParityError", "GateError"),
    *("PackageError", "GoldenMismatch", "RegistryError", "VersionNotFound"),
    *("RequestError", "InvalidInput"),
}
RUNNING = {"cv2", "fastapi", "lightgbm", "mlflow", "onnx", "onnxruntime", "pandas", "scipy", "sklearn", "starlette"}
RUNNING |= {"structlog", "typer", "uvicorn", "xgboost"}


def test_the_root_exports_the_vocabulary_and_nothing_else() -> None:
    assert set(rookery.__all__) == VOCABULARY | ERRORS
    assert rookery.__all__ == sorted(rookery.__all__)


def test_the_roots_source_names_nothing_beyond_its_exports() -> None:
    """No helper or module slips into the vocabulary unnoticed."""
    tree = ast.parse(Path(rookery.__file__).read_text())
    imported = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname or alias.name for node in imported for alias in node.names}
    assert names | {"__version__"} == set(rookery.__all__)
    assert all(node.module and node.module.startswith("rookery.") for node in imported)
    assert not [node for node in tree.body if isinstance(node, (ast.Import, ast.FunctionDef, ast.ClassDef))]


def test_every_export_has_a_docstring() -> None:
    exports = [getattr(rookery, name) for name in rookery.__all__ if name != "__version__"]
    assert [export for export in exports if not (export.__doc__ or "").strip()] == []


def test_exported_errors_are_those_of_the_tree() -> None:
    for name in ERRORS:
        assert getattr(rookery, name) is getattr(errors, name)
        assert issubclass(getattr(rookery, name), rookery.RookeryError)


def test_the_version_is_the_distributions() -> None:
    assert rookery.__version__ == importlib.metadata.version("rookery")


def test_importing_the_root_runs_no_server_and_no_trainer() -> None:
    """Only what declares a service is loaded: neither training libraries, nor the server's."""
    script = "import rookery, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "rookery" in loaded
    assert not loaded & RUNNING

"""The house plan's rules that import-linter cannot see, read off the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "rookery"
MODULES = sorted(SOURCE.rglob("*.py"))
SERVICES = sorted((ROOT / "services").glob("*/service.py"))
HEAVY = {
    "cv2",
    "lightgbm",
    "matplotlib",
    "mlflow",
    "onnx",
    "onnxmltools",
    "pandas",
    "scipy",
    "skl2onnx",
    "sklearn",
    "sqlalchemy",
    "xgboost",
}
"""Libraries that train or convert; a serving worker pays for none of them."""
UNSAFE = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
"""Libraries whose files can run code when they are read."""
SERVING_ROOMS = ("errors", "settings", "telemetry", "fields", "service", "package", "pipeline", "serving", "supervisor")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Yield every module that a tree imports, at whatever depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def imported_when_loaded(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that are imported when a tree's module is, so not those inside functions.

    What a service's folder holds besides is a part of the service.
    """
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
        waiting.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_no_inner_module_imports_the_package_root(module: Path) -> None:
    """Rooms name the room they use; the root is for users alone."""
    tree = ast.parse(module.read_text())
    if module != SOURCE / "__init__.py":
        assert "rookery" not in set(imported_modules(tree))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_modules_and_functions_stay_readable(module: Path) -> None:
    """A module has 350 lines at most, a function 60."""
    text = module.read_text()
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < 60, f"{node.name} (line {node.lineno}) is too long"


def test_rooms_have_empty_init_files() -> None:
    """Whoever imports a room's module runs that module and nothing else."""
    full = [name_of(path) for path in SOURCE.rglob("__init__.py") if path.parent != SOURCE and path.read_text().strip()]
    assert full == []


@pytest.mark.parametrize(
    "module",
    [path for path in MODULES if path.relative_to(SOURCE).parts[0].removesuffix(".py") in SERVING_ROOMS],
    ids=name_of,
)
def test_the_serving_side_cannot_unpickle(module: Path) -> None:
    """No module of the serving side can read a file that runs code."""
    assert not {name.partition(".")[0] for name in imported_modules(ast.parse(module.read_text()))} & UNSAFE


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_services_are_short_and_know_only_rookery(service: Path) -> None:
    """A service has 80 lines at most; when it is loaded it imports rookery, pydantic and the standard library only."""
    text = service.read_text()
    assert len(text.splitlines()) <= 80
    names = {name.partition(".")[0] for name in imported_when_loaded(ast.parse(text))}
    assert names - set(sys.stdlib_module_names) <= {"rookery", "pydantic"}


def loaded_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after a statement."""
    script = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_the_package_root_is_light_and_complete() -> None:
    """`import rookery` loads no training library, and every name it promises is there."""
    assert not loaded_after("import rookery\n[getattr(rookery, name) for name in rookery.__all__]") & HEAVY


def test_no_serving_module_loads_a_training_library() -> None:
    """Importing every module of the serving side's rooms brings none of the training libraries."""
    names = [
        ".".join(("rookery", *path.relative_to(SOURCE).with_suffix("").parts))
        for path in MODULES
        if path.relative_to(SOURCE).parts[0].removesuffix(".py") in SERVING_ROOMS and path.stem != "__init__"
    ]
    assert names
    assert not loaded_after("import " + ", ".join(names)) & HEAVY


@pytest.mark.parametrize("service", SERVICES, ids=name_of)
def test_loading_a_service_loads_no_training_library(service: Path) -> None:
    """A worker that imports a service's definition pays for none of what trains it."""
    loaded = loaded_after(
        "from pathlib import Path\nfrom rookery.service.discovery import load_service\n"
        f"load_service(Path({str(service.parent.parent)!r}), {service.parent.name!r})"
    )
    assert "rookery" in loaded
    assert not loaded & HEAVY

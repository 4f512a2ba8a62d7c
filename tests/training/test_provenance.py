"""Provenance: what a definition's digest follows, and where a model says it came from."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rookery.fields.expression import Rule, col
from rookery.package.describe import read_library_versions
from rookery.service.discovery import load_service
from rookery.service.policies import Gate, Limits
from rookery.training.provenance import definition_digest, find_git_commit
from tests.training.samples import Place, logistic, places, points, tree

SERVICE = '''
"""A service."""
from typing import Any
from pydantic import BaseModel
from rookery import Classification, Dataset, Service

ROWS = 10

class Row(BaseModel):
    x: float

def load() -> Dataset:
    return Dataset(columns={"x": list(range(ROWS))}, target=["a", "b"] * (ROWS // 2))

def settings() -> dict[str, Any]:
    return {"max_depth": 2, "criterion": "gini"}

def make(kind: str) -> Any:
    from sklearn.tree import DecisionTreeClassifier
    return DecisionTreeClassifier(**settings())  # one of few

service = Service(name="demo", input=Row, task=Classification("a", "b"), data=load, title="Demo",
                  candidates={"tree": lambda: make("tree")})
'''


def digest_of(folder: Path, source: str) -> str:
    file = folder / "demo" / "service.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return definition_digest(load_service(folder, "demo"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# one of few", "# another comment"),
        ("ROWS = 10\n", "\n\n\nROWS = 10\n"),
        ('title="Demo"', 'title="Another title"'),
        ('"""A service."""', '"""Another docstring."""'),
    ],
)
def test_comments_line_numbers_and_titles_need_no_new_model(old: str, new: str, tmp_path: Path) -> None:
    assert old in SERVICE
    assert digest_of(tmp_path, SERVICE.replace(old, new)) == digest_of(tmp_path, SERVICE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ROWS = 10", "ROWS = 12"),
        ('"max_depth": 2', '"max_depth": 3'),
        ('["a", "b"] * ', '["b", "a"] * '),
        ("DecisionTreeClassifier", "ExtraTreeClassifier"),
        ('make("tree")', 'make("oak")'),
        ("x: float", "x: float | None"),
        ('{"tree": lambda', '{"oak": lambda'),
    ],
)
def test_what_shapes_the_model_changes_the_digest(old: str, new: str, tmp_path: Path) -> None:
    assert old in SERVICE
    assert digest_of(tmp_path, SERVICE.replace(old, new)) != digest_of(tmp_path, SERVICE)


def test_the_digest_is_the_same_in_another_process_and_folder(tmp_path: Path, repository: Path) -> None:
    here = digest_of(tmp_path / "here", SERVICE)
    (tmp_path / "there" / "demo").mkdir(parents=True)
    (tmp_path / "there" / "demo" / "service.py").write_text(SERVICE)
    code = (
        "import sys; from pathlib import Path; from rookery.service.discovery import load_service; "
        "from rookery.training.provenance import definition_digest; "
        "print(definition_digest(load_service(Path(sys.argv[1]), 'demo')))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "there")]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here


def test_every_part_that_training_reads_is_in_the_digest() -> None:
    service = points()
    variants: list[dict[str, Any]] = [
        {"seed": 1},
        {"test_share": 0.3},
        {"cross_validation": 3},
        {"metric": "accuracy"},
        {"gate": Gate(accuracy=0.7)},
        {"derived": {}},
        {"rules": [Rule(col("x") < 51, "x is beyond the fence")]},
        {"candidates": {"tree": tree, "logistic": logistic}},
        {"confidence_threshold": 0.6},
        {"model_name": "points-{candidate}"},
    ]
    digests = {definition_digest(service), *(definition_digest(replace(service, **change)) for change in variants)}
    assert len(digests) == len(variants) + 1
    assert definition_digest(replace(service, limits=Limits(rows=5))) == definition_digest(service)
    assert definition_digest(replace(places(), input=Place)) == definition_digest(places())


def test_the_commit_is_named_and_uncommitted_changes_are_admitted(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert find_git_commit(tmp_path) is None
    git("init", "-q")
    assert find_git_commit(tmp_path) is None
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    assert find_git_commit(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "file").write_text("two")
    assert find_git_commit(tmp_path) == git("rev-parse", "HEAD") + "+changes"


def test_library_versions_name_those_that_are_installed() -> None:
    versions = read_library_versions()
    assert {"python", "numpy", "scikit-learn", "onnx"} <= versions.keys()

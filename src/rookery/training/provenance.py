"""Provenance: which definition, code, libraries and rows a model came from."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType
from typing import Any

from rookery.package.describe import read_library_versions
from rookery.package.manifest import DatasetFacts, Provenance
from rookery.service.definition import Service
from rookery.training.load import TrainingData
from rookery.training.split import Split

GIT_SECONDS = 5.0


def make_provenance(service: Service, data: TrainingData, split: Split, parent_run: str | None) -> Provenance:
    """Return the manifest's record of where the model comes from."""
    return Provenance(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        dataset=DatasetFacts(
            digest=data.digest,
            rows=data.rows,
            source=data.source,
            synthetic=data.synthetic,
            splits={"train": len(split.train), "test": len(split.test)},
        ),
        seed=service.seed,
        git_commit=find_git_commit(Path.cwd()),
        libraries=read_library_versions(),
        parent_run=parent_run,
    )


def find_git_commit(folder: Path) -> str | None:
    """Return the commit checked out in `folder`, with `+changes` when files differ from it; None without git."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    return f"{commit}+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def definition_digest(service: Service) -> str:
    """Return a SHA-256 over everything of a definition that shapes what is trained and packaged.

    That is columns, rules, derived features, task, scores and gate, split, and the code of `data` and of each
    candidate's factory, with the functions and constants of their own module that these use (comments and line
    numbers do not count). How a service answers, limits and describes itself needs no new model.
    """
    definition = {
        "columns": [asdict(column) for column in service.schema.columns],
        "rules": [[rule.condition.to_json(), rule.message, list(rule.fields)] for rule in service.rules],
        "derived": {name: expression.to_json() for name, expression in service.derived.items()},
        "task": [service.require_task().kind, asdict(service.require_task())],
        "metric": service.metric,
        "gate": asdict(service.gate),
        "split": [service.seed, service.test_share, service.cross_validation, service.cross_validation_repeats],
        "model_name": service.model_name,
        "confidence_threshold": service.confidence_threshold,
        "data": _describe_code(service.data),
        "candidates": [[name, _describe_code(factory)] for name, factory in service.candidates.items()],
    }
    return hashlib.sha256(json.dumps(definition, default=str).encode()).hexdigest()


def _describe_code(function: Any, seen: frozenset[str] = frozenset()) -> Any:
    """Return what a callable does, as JSON values: bytecode of functions, parts of partials, else its name."""
    if hasattr(function, "func") and hasattr(function, "keywords"):
        keywords: Mapping[str, Any] = function.keywords
        arguments = [_describe_data(argument) for argument in function.args]
        named = {name: _describe_data(keywords[name]) for name in sorted(keywords)}
        return [_describe_code(function.func, seen), arguments, named]
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    closure = dict(zip(code.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()), strict=True))
    around = {name: function.__globals__[name] for name in _names_in(code) if name in function.__globals__} | closure
    return [
        _describe_bytecode(code),
        _describe_data(function.__defaults__),
        _describe_data(function.__kwdefaults__),
        {
            name: _describe_value(value, function, seen | {function.__qualname__})
            for name, value in sorted(around.items())
        },
    ]


def _describe_value(value: Any, user: Any, seen: frozenset[str]) -> Any:
    """Return what a function finds under a name: data by its text, functions of its own module by what they do."""
    if value is None or isinstance(value, (bool, int, float, str, bytes, tuple, list, dict)):
        return _describe_data(value)
    name = getattr(value, "__qualname__", type(value).__qualname__)
    is_own = getattr(value, "__module__", None) == user.__module__ and isinstance(
        getattr(value, "__code__", None), CodeType
    )
    return _describe_code(value, seen) if is_own and name not in seen else name


def _describe_data(value: Any) -> str:
    """Return data as text; what shows an address, which no two processes share, is named by its type."""
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text


def _names_in(code: CodeType) -> set[str]:
    """Return the names that code looks up outside itself, its inner functions included."""
    inner = (_names_in(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


def _describe_bytecode(code: CodeType) -> Any:
    """Return code as JSON values, free of addresses, line numbers and the order of sets."""
    constants = [
        _describe_bytecode(constant)
        if isinstance(constant, CodeType)
        else sorted(map(repr, constant))
        if isinstance(constant, frozenset)
        else repr(constant)
        for constant in code.co_consts
    ]
    return [code.co_code.hex(), constants, list(code.co_names), list(code.co_varnames)]

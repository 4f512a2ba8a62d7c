"""Functions: services whose own code answers, versioned by a digest over that code and what it computes with."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rookery.errors import DefinitionError, GoldenMismatch, PackageError
from rookery.fields.pictures.libraries import INSTALL_IMAGES
from rookery.package.digests import canonical_json
from rookery.package.golden import GoldenCase
from rookery.package.golden_pictures import draw_golden
from rookery.service.definition import Service
from rookery.service.function import PictureFunction

TOLERANCE = 0.02
"""How far a summary may lie from the recorded one: about 2 %, since processors round the last digits differently."""

_INSTALL = f"Install it; for OpenCV and Pillow: {INSTALL_IMAGES.removeprefix('Run: ')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCode:
    """The code that is deployed here, ready to answer."""

    run: PictureFunction
    digest: str
    """SHA-256 over the service's source files and the versions of its libraries."""
    mode: str
    """The pictures' mode, `RGB` or `L`."""
    defaults: Mapping[str, Any]
    """Every parameter's default."""


def function_code(service: Service) -> FunctionCode:
    """Return the code of a service whose function answers.

    Raises:
        DefinitionError: the service has no function, a parameter without a default, or a library that is not there.
    """
    if service.function is None or service.schema.picture is None:
        raise DefinitionError(f"{service.name} has no function", cure="Declare function=…")
    parameters = service.schema.picture.parameters
    columns = () if parameters is None else parameters.columns
    bare = [column.field for column in columns if column.required]
    if bare:
        raise DefinitionError(
            f"{service.name}: the parameter {bare[0]!r} has no default", cure="Golden cases are answered with defaults"
        )
    return FunctionCode(
        run=service.function,
        digest=_digest(service),
        mode=service.schema.picture.image.mode,
        defaults={column.field: column.default for column in columns},
    )


def _digest(service: Service) -> str:
    function: Any = service.function
    module = sys.modules.get(getattr(function, "__module__", "") or "")
    file = getattr(module, "__file__", None)
    if file is None:
        raise DefinitionError(
            f"{service.name}: the source of its function is not known", cure="Define it in the service's own folder"
        )
    folder = Path(file).parent
    names = [path.relative_to(folder) for path in folder.rglob("*.py")]
    sources = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    digests = {name.as_posix(): hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sources}
    try:
        versions = {name: metadata.version(name) for name in service.libraries}
    except metadata.PackageNotFoundError as error:
        raise DefinitionError(f"{service.name}: its library {error.name} is not installed", cure=_INSTALL) from error
    return hashlib.sha256(canonical_json({"source": digests, "libraries": versions})).hexdigest()


def record_function(code: FunctionCode, cases: Sequence[dict[str, Any]]) -> list[GoldenCase]:
    """Return golden cases: what the code answers, in summary, to generated pictures."""
    blank = [GoldenCase(input=case, expected=(), tolerance=TOLERANCE) for case in cases]
    return [
        GoldenCase(input=case.input, expected=_answer(code, case, number), tolerance=TOLERANCE)
        for number, case in enumerate(blank, start=1)
    ]


def check_function(code: FunctionCode, cases: Sequence[GoldenCase]) -> None:
    """Answer every golden case, and compare with what was recorded.

    Raises:
        GoldenMismatch: a case is answered otherwise, or not at all; the message names it.
        PackageError: a library that the code imports is not installed.
    """
    for number, case in enumerate(cases, start=1):
        actual = _answer(code, case, number)
        if len(actual) != len(case.expected):
            raise GoldenMismatch(
                f"golden.jsonl: case {number} expects {len(case.expected)} numbers, the code answers {len(actual)}"
            )
        error = max((abs(a - b) for a, b in zip(actual, case.expected, strict=True)), default=0.0)
        if not error <= case.tolerance:
            raise GoldenMismatch(
                f"golden.jsonl: case {number}: the code's answer is off the recorded one by {error:.3g} "
                f"(logarithms), allowed is {case.tolerance:g}"
            )


def check_code(code: FunctionCode | None, *, recorded: str | None, service: str, commit: str | None) -> FunctionCode:
    """Return the deployed code if it is the one that a package was made of.

    Raises:
        PackageError: it is another one, or none; the message says which commit to deploy.
    """
    if code is None:
        raise PackageError(
            f"{service}: a package of kind 'function' cannot be opened alone", cure="Its service's own code answers"
        )
    if code.digest != recorded:
        deploy = f"Deploy commit {commit}" if commit else "Deploy the code it was made of"
        deploy = deploy.replace("+changes", " with the changes that were not committed")
        raise PackageError(
            f"{service}: this version is other code than the one deployed here",
            cure=f"{deploy}, or register this code as a version of its own: `rookery train {service}`",
        )
    return code


def _answer(code: FunctionCode, case: GoldenCase, number: int) -> tuple[float, ...]:
    pixels = draw_golden(case, number)
    if code.mode == "L":
        # Integer weights of ITU-R 601 luma: no library's rounding takes part in a golden picture.
        weights = np.array((19595, 38470, 7471), dtype=np.uint32)
        grey = ((pixels * weights).sum(axis=2, dtype=np.uint32) + np.uint32(32768)) >> np.uint32(16)
        pixels = grey.astype(np.uint8)[..., None]
    try:
        result: Any = code.run(pixels, code.defaults)
    except ImportError as error:
        raise PackageError(f"its code needs {error.name}, which is not installed here", cure=_INSTALL) from error
    except Exception as error:
        raise GoldenMismatch(f"golden.jsonl: case {number}: the code fails: {type(error).__name__}") from error
    if not isinstance(result, Mapping):
        raise GoldenMismatch(
            f"golden.jsonl: case {number}: the code returns {type(result).__name__}, no fields", cure="Return a dict"
        )
    try:
        msgspec.json.encode(result)
    except (TypeError, ValueError, OverflowError) as error:
        raise GoldenMismatch(
            f"golden.jsonl: case {number}: the code's result is no JSON: {error}",
            cure="Return plain numbers, texts, lists and dicts: float(x), array.tolist()",
        ) from error
    return summarize(result)


def summarize(result: Mapping[str, Any]) -> tuple[float, ...]:
    """Return a result in a few numbers, by field in alphabetical order: how many numbers it holds, and their mean.

    All are logarithms, `sign(x) log(1 + |x|)`, so that one tolerance suits counts and coordinates alike.
    """
    numbers: list[float] = []
    for name in sorted(result):
        leaves = [leaf for leaf in _leaves(result[name]) if math.isfinite(leaf)]
        mean = math.fsum(leaves) / len(leaves) if leaves else 0.0
        numbers += [_logarithm(float(len(leaves))), _logarithm(mean)]
    return tuple(numbers)


def _logarithm(value: float) -> float:
    return math.copysign(math.log1p(abs(value)), value)


def _leaves(value: Any) -> Iterator[float]:
    """Yield every number in a JSON value; a text counts by its length, null as nothing."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    elif isinstance(value, str):
        yield float(len(value))
    elif value is not None:
        yield float(value)

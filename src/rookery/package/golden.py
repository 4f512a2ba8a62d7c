"""Golden cases: recorded inputs with the answers a package must still give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rookery.errors import GoldenMismatch, InferenceFailed, PackageError
from rookery.fields.encoder import Encoder
from rookery.fields.schema import InputSchema
from rookery.package.digests import canonical_json
from rookery.package.golden_pictures import fit_golden
from rookery.package.session import Inputs, Matrix

MINIMUM_GOLDEN = 20
"""A package with fewer cases proves too little and is refused."""
PICTURES_TOGETHER = 4
"""Pictures of golden cases that are run in one batch: what a network holds between its layers grows with them."""


class GoldenCase(BaseModel):
    """One recorded case: an input as a client sends it, and what the graph answered."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    input: dict[str, Any]
    """JSON values by the input model's field names; of pictures, what generates one (see `golden_pictures`)."""
    expected: tuple[float, ...]
    """Every label's probability, or the one value."""
    tolerance: float = Field(ge=0)
    """How far each answer may lie from `expected`, in the output's own unit."""


class Runs(Protocol):
    """Something that answers a matrix: a session, or a stand-in for one."""

    def run(self, matrix: Inputs) -> Matrix:
        """Answer float32 [n, columns], or pictures."""
        ...


def write_golden(cases: Sequence[GoldenCase]) -> bytes:
    """Return the bytes of `golden.jsonl`: one case per line, in canonical JSON."""
    return b"".join(
        canonical_json({"input": case.input, "expected": case.expected, "tolerance": case.tolerance}) + b"\n"
        for case in cases
    )


def read_golden(data: bytes) -> list[GoldenCase]:
    """Read the bytes of a `golden.jsonl`.

    Raises:
        PackageError: a line is no case, or there are fewer than 20.
    """
    cases = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            cases.append(GoldenCase.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise PackageError(f"golden.jsonl: line {number} is no golden case: {first['msg']}") from error
    require_enough(cases)
    return cases


def require_enough(cases: Sequence[GoldenCase]) -> None:
    """Raise PackageError when there are fewer golden cases than a package needs."""
    if len(cases) < MINIMUM_GOLDEN:
        raise PackageError(
            f"golden.jsonl: {len(cases)} cases, at least {MINIMUM_GOLDEN} are needed",
            cure="Record more inputs with their answers",
        )


def golden_inputs(cases: Sequence[GoldenCase], encoder: Encoder, schema: InputSchema) -> Inputs:
    """Return the cases' inputs as a graph reads them, by the very path of a request.

    They are rows, float32 [cases, columns]; or pictures, uint8 [cases, height, width, channels], where these are no
    columns.

    Raises:
        GoldenMismatch: an input is no longer valid.
    """
    if schema.picture is not None and not schema.columns:
        return np.stack([fit_golden(case, number, schema.picture) for number, case in enumerate(cases, start=1)])
    return encode_golden(cases, encoder, schema)


def encode_golden(cases: Sequence[GoldenCase], encoder: Encoder, schema: InputSchema) -> Matrix:
    """Return the cases' inputs as float32 [cases, columns].

    Raises:
        GoldenMismatch: an input is no longer valid.
    """
    validate, rows = schema.model.__pydantic_validator__.validate_json, []
    for number, case in enumerate(cases, start=1):
        try:
            rows.append(validate(canonical_json(case.input)))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "input"
            raise GoldenMismatch(f"golden.jsonl: case {number}: {where}: {first['msg']}") from error
    matrix: Matrix = encoder.encode_rows(rows)
    return matrix


def check_golden(cases: Sequence[GoldenCase], encoder: Encoder, session: Runs, schema: InputSchema) -> None:
    """Run every case, in a batch and alone, and compare with what was recorded.

    Raises:
        GoldenMismatch: a case's input is no longer valid, or its answer is another one; the message names the case.
    """
    matrix = golden_inputs(cases, encoder, schema)
    chunk = PICTURES_TOGETHER if matrix.dtype == np.uint8 else len(cases)
    for start in range(0, len(cases), chunk):
        stop = start + chunk
        _compare(cases[start:stop], _run(session, matrix[start:stop]), first=start + 1, how="in a batch")
    for index, case in enumerate(cases):
        _compare([case], _run(session, matrix[index : index + 1]), first=index + 1, how="alone")


def _run(session: Runs, matrix: Inputs) -> Matrix:
    try:
        return session.run(matrix)
    except InferenceFailed as error:
        raise GoldenMismatch(f"golden.jsonl: {error.message}") from error


def _compare(cases: Sequence[GoldenCase], outputs: Matrix, *, first: int, how: str) -> None:
    expected_shape = (len(cases), len(cases[0].expected))
    if outputs.dtype != np.float32 or outputs.shape not in (expected_shape, expected_shape[:1]):
        raise GoldenMismatch(
            f"golden.jsonl: run {how}, the graph answers {outputs.dtype} {list(outputs.shape)}, "
            f"recorded is float32 {list(expected_shape)}"
        )
    for number, (case, answer) in enumerate(zip(cases, outputs.reshape(expected_shape), strict=True), start=first):
        actual = answer.astype(np.float64)
        if len(case.expected) != len(actual):
            raise GoldenMismatch(f"golden.jsonl: case {number} expects {len(case.expected)} answers, not {len(actual)}")
        if not np.isfinite(actual).all():
            raise GoldenMismatch(f"golden.jsonl: case {number}, run {how}: the answer {answer.tolist()} is not finite")
        error = float(np.abs(actual - np.asarray(case.expected)).max())
        if error > case.tolerance:
            raise GoldenMismatch(
                f"golden.jsonl: case {number}, run {how}: the answer {answer.tolist()} is off the recorded "
                f"{list(case.expected)} by {error:.3g}, allowed is {case.tolerance:g}"
            )

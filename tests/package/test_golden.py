"""Golden cases go the way of a request, and any other answer than the recorded one is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from rookery.errors import GoldenMismatch, InferenceFailed, PackageError
from rookery.fields.encoder import Encoder
from rookery.fields.schema import rebuild_schema
from rookery.package.golden import GoldenCase, check_golden, read_golden, write_golden
from tests.package.builders import COLUMNS, classifier, make_golden, make_inputs, make_manifest

Matrix = npt.NDArray[np.float32]
Inputs = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
SCHEMA = rebuild_schema("Penguin", COLUMNS)


class Answers:
    """A stand-in for a session: always the same row, `single` when it is asked for one row."""

    def __init__(self, row: list[float], *, single: list[float] | None = None, dtype: Any = np.float32) -> None:
        self._row, self._single, self._dtype = row, single or row, dtype

    def run(self, matrix: Inputs) -> Matrix:
        row = self._single if len(matrix) == 1 else self._row
        return np.asarray([row] * len(matrix), dtype=self._dtype)


class Fails:
    def run(self, matrix: Inputs) -> Matrix:
        raise InferenceFailed("the graph failed: out of range")


def cases(expected: tuple[float, ...] = (0.25, 0.75), tolerance: float = 1e-3) -> list[GoldenCase]:
    return [GoldenCase(input=row, expected=expected, tolerance=tolerance) for row in make_inputs(20)]


def check(answers: Answers | Fails, recorded: list[GoldenCase] | None = None) -> None:
    check_golden(recorded or cases(), Encoder(SCHEMA), answers, SCHEMA)


def test_answers_within_the_tolerance_pass() -> None:
    check(Answers([0.2505, 0.7495]))


def test_an_answer_beyond_the_tolerance_is_told_with_case_and_distance() -> None:
    with pytest.raises(GoldenMismatch, match=r"case 1, run in a batch: .* by 0\.00[0-9]+, allowed is 0\.001"):
        check(Answers([0.252, 0.748]))


def test_a_single_row_that_is_answered_otherwise_than_in_a_batch_is_told() -> None:
    with pytest.raises(GoldenMismatch, match="case 1, run alone"):
        check(Answers([0.25, 0.75], single=[0.3, 0.7]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_told(value: float) -> None:
    with pytest.raises(GoldenMismatch, match="is not finite"):
        check(Answers([0.25, value]))


def test_an_answer_of_another_shape_or_type_is_told() -> None:
    with pytest.raises(GoldenMismatch, match=r"answers float32 \[20, 3\], recorded is float32 \[20, 2\]"):
        check(Answers([0.25, 0.5, 0.25]))
    with pytest.raises(GoldenMismatch, match="answers float64"):
        check(Answers([0.25, 0.75], dtype=np.float64))


def test_cases_of_different_lengths_are_told() -> None:
    recorded = cases()
    recorded[4] = recorded[4].model_copy(update={"expected": (0.25,)})
    with pytest.raises(GoldenMismatch, match="case 5 expects 1 answers, not 2"):
        check(Answers([0.25, 0.75]), recorded)


def test_a_graph_that_fails_on_a_case_is_told() -> None:
    with pytest.raises(GoldenMismatch, match="the graph failed"):
        check(Fails())


def test_an_input_that_is_no_longer_valid_is_told_by_case_and_field() -> None:
    recorded = cases()
    recorded[2] = recorded[2].model_copy(update={"input": {**recorded[2].input, "mass_g": 3.75}})
    with pytest.raises(GoldenMismatch, match="case 3: mass_g: Input should be greater than or equal to 1000"):
        check(Answers([0.25, 0.75]), recorded)


def test_cases_survive_their_file_and_its_bytes_are_stable() -> None:
    recorded = make_golden(classifier().SerializeToString(), make_manifest(), make_inputs())
    data = write_golden(recorded)
    assert read_golden(data) == recorded
    assert write_golden(read_golden(data)) == data
    reordered = [case.model_copy(update={"input": dict(reversed(case.input.items()))}) for case in recorded]
    assert write_golden(reordered) == data


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'{"input": {}, "expected": [1.0]}',
        b'{"input": {}, "expected": ["1"], "tolerance": 1}',
        b'{"input": {}, "expected": [NaN], "tolerance": 1}',
    ],
)
def test_a_line_that_is_no_case_is_refused_by_its_number(line: bytes) -> None:
    data = write_golden(cases()) + line + b"\n"
    with pytest.raises(PackageError, match=r"golden\.jsonl: line 21 is no golden case"):
        read_golden(data)


@pytest.mark.parametrize("tolerance", [-1e-9, float("nan"), float("inf")])
def test_a_tolerance_that_would_allow_nothing_or_anything_is_refused(tolerance: float) -> None:
    with pytest.raises(ValidationError):
        GoldenCase(input={}, expected=(1.0,), tolerance=tolerance)

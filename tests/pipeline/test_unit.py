"""Units that are run together have each its own outcome and its own fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rookery.errors import InferenceFailed, InvalidPicture
from rookery.package.opener import Package
from rookery.pipeline.call import Pass
from rookery.pipeline.pipeline import infer_pictures, take_outcomes
from rookery.pipeline.unit import Outcome, Unit, infer_units, make_units
from tests.pipeline.postcards import Postcards, draw, make_picture_call, postcard_bench
from tests.pipeline.postcards import read as read_answers
from tests.pipeline.units import make_rows, two_versions


def read(units: list[Unit]) -> list[list[float] | str]:
    """Return each unit's values, or the name of its error."""
    return [
        outcome.outputs.tolist()
        if isinstance(outcome, Outcome) and outcome.outputs is not None
        else type(outcome).__name__
        for outcome in infer_units(units)
    ]


def test_a_row_whose_answer_is_no_number_fails_its_own_unit_alone(package: Package, dearer_package: Package) -> None:
    version, _ = two_versions(package, dearer_package)
    found = read([make_rows(version, 1, 2), make_rows(version, 3, -1, 4), make_rows(version, 5)])
    assert found == [[2.0, 4.0], "InferenceFailed", [10.0]]


def test_rows_that_break_the_joint_run_break_their_own_unit_alone(package: Package, dearer_package: Package) -> None:
    version, _ = two_versions(package, dearer_package)
    strange = replace(make_rows(version, 7), rows=np.zeros((1, 5), np.float32))
    found = read([make_rows(version, 1), strange, make_rows(version, 2)])
    assert found == [[2.0], "InferenceFailed", [4.0]]


def test_a_graph_that_answers_other_rows_than_it_was_asked_fails(package: Package, dearer_package: Package) -> None:
    class Short:
        def run(self, matrix: Any) -> Any:
            return package.run(matrix)[1:]

    version, _ = two_versions(package, dearer_package)
    version.package = replace(package, session=Short())  # type: ignore[arg-type]
    assert read([make_rows(version, 1), make_rows(version, 2, 3)]) == ["InferenceFailed"] * 2


def picture_pass(package: Package, *pictures: bytes, factor: int = 1) -> Pass:
    bench = postcard_bench(package, Postcards(1))
    (work,) = bench.pipeline.begin([make_picture_call(*pictures, factor=factor)])
    return work


def test_every_picture_has_its_own_fault(package: Package, caplog: pytest.LogCaptureFixture) -> None:
    """Torn, or such that the function raises, which is nobody's business but the log's."""
    units = make_units(picture_pass(package, draw(1), draw(2, is_torn=True), draw(199), draw(4), factor=3))
    found = infer_units(units)
    assert [type(outcome) for outcome in found] == [Outcome, InvalidPicture, InferenceFailed, Outcome]
    results = [outcome.result for outcome in found if isinstance(outcome, Outcome)]
    assert results == [{"number": b"3", "by": b"1"}, {"number": b"12", "by": b"1"}]
    assert "unlucky" not in str(found[2])
    assert "unlucky" in caplog.text


def test_what_a_function_does_to_its_parameters_stays_with_it(package: Package) -> None:
    work = picture_pass(package, draw(1), draw(2), factor=5)
    units = make_units(work)
    infer_units(units)
    assert [unit.parameters for unit in units] == [{"factor": 5}] * 2


@pytest.mark.parametrize("result", [{"a": object()}, {"a": {1j}}, [1], None], ids=["object", "set", "list", "none"])
def test_a_result_that_is_no_json_fails(package: Package, result: Any) -> None:
    bench = postcard_bench(package, Postcards(1))
    version = bench.endpoint.versions["1"]
    assert version.package.code is not None
    version.package = replace(version.package, code=replace(version.package.code, run=lambda *_: result))
    (work,) = bench.pipeline.begin([make_picture_call(draw(1))])
    assert [type(outcome) for outcome in infer_units(make_units(work))] == [InferenceFailed]


def test_a_call_with_one_bad_file_fails_by_its_place_and_its_neighbour_does_not(package: Package) -> None:
    bench = postcard_bench(package, Postcards(1))
    bad, good = make_picture_call(draw(1), draw(2, is_torn=True)), make_picture_call(draw(3), draw(4))
    (work,) = bench.pipeline.begin([bad, good])
    infer_pictures(work)
    bench.pipeline.complete([bad, good], [work])
    assert isinstance(bad.error, InvalidPicture)
    assert bad.error.message.startswith("file 1 (1.png): ")
    assert [answer["number"] for answer in read_answers(good)] == [3, 4]


def test_a_pass_of_known_outcomes_counts_as_no_run(package: Package) -> None:
    work = picture_pass(package, draw(1))
    take_outcomes(work, make_units(work), [Outcome(result={"number": b"1", "by": b"1"}, cached=True)])
    assert work.run_seconds == 0

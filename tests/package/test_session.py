"""A session runs its graph exactly, quietly, from many threads, and says so when it cannot."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rookery.errors import InferenceFailed, PackageError
from rookery.package.manifest import Tensors, TensorSpec
from rookery.package.session import OnnxSession
from tests.package.builders import WIDTH, classifier, encode, make_inputs, regressor, tensors_of

PROBABILITIES = tensors_of("probabilities", (None, 3))


def open_classifier() -> OnnxSession:
    return OnnxSession(classifier().SerializeToString(), PROBABILITIES)


@pytest.mark.parametrize("rows", [1, 2, 64, 1000])
def test_probabilities_come_as_one_row_per_row(rows: int) -> None:
    answers = open_classifier().run(encode(make_inputs(rows)))
    assert answers.shape == (rows, 3)
    assert answers.dtype == np.float32
    assert np.allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_answers_are_those_of_the_arithmetic_in_the_graph() -> None:
    matrix = encode(make_inputs(50))
    value = OnnxSession(regressor().SerializeToString(), tensors_of("value", (None, 1))).run(matrix)
    assert value.shape == (50,)
    assert np.allclose(value, matrix.astype(np.float64) @ [0.001, 0.01, 0.5, 0.25], rtol=1e-6)


def test_a_matrix_in_any_memory_layout_gives_the_same_answers() -> None:
    session, matrix = open_classifier(), encode(make_inputs(30))
    expected = session.run(matrix)
    assert np.array_equal(session.run(np.asfortranarray(matrix)), expected)
    assert np.array_equal(session.run(np.repeat(matrix, 2, axis=0)[::2]), expected)


def test_many_threads_may_run_one_session_at_once() -> None:
    session, matrix = open_classifier(), encode(make_inputs(200))
    expected = session.run(matrix)
    wrong: list[int] = []

    def work(offset: int) -> None:
        answers = {row: session.run(matrix[row : row + 1])[0] for row in range(offset, 200, 4)}
        wrong.extend(row for row, answer in answers.items() if not np.allclose(answer, expected[row], atol=1e-6))

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert wrong == []


def test_a_matrix_the_graph_cannot_take_fails_as_an_inference(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InferenceFailed, match="the graph failed"):
        open_classifier().run(np.zeros((2, WIDTH + 1), dtype=np.float32))
    with pytest.raises(InferenceFailed):
        open_classifier().run(np.zeros((2, WIDTH)))  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", ""), "what is raised is not printed too"


@pytest.mark.parametrize("data", [b"", b"no model at all", classifier().SerializeToString()[:-20]])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(PackageError, match=r"model\.onnx: ONNX Runtime cannot load the graph"):
        OnnxSession(data, PROBABILITIES)


def test_latency_is_measured_for_one_row_of_whatever_shape() -> None:
    assert 0 < open_classifier().measure_latency() < 1
    fixed = Tensors(input=TensorSpec(name="columns", shape=(None, WIDTH)), outputs=PROBABILITIES.outputs)
    assert OnnxSession(classifier().SerializeToString(), fixed, threads=2).measure_latency() > 0

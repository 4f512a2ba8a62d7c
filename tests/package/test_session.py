"""A session runs its graph exactly, quietly, from many threads, and says so when it cannot."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from rookery.errors import InferenceFailed, PackageError
from rookery.package.manifest import Tensors, TensorSpec
from rookery.package.session import COMPACT_FROM_BYTES, OnnxSession
from tests.package.builders import WIDTH, classifier, encode, make_inputs, regressor, tensors_of

ROOT = Path(__file__).parents[2]

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


def large_forest() -> tuple[bytes, Tensors]:
    """A graph of 400 random trees of depth 7 over 6 columns, beyond the size from which trees are kept compactly."""
    generator = np.random.default_rng(5)
    inner, leaves, trees, width = 127, 128, 400, 6
    nodes = inner + leaves
    children = np.arange(nodes)
    is_leaf = np.arange(nodes) >= inner
    modes = ["LEAF" if leaf else "BRANCH_LEQ" for leaf in is_leaf] * trees
    left = np.where(is_leaf, 0, 2 * children + 1)
    right = np.where(is_leaf, 0, 2 * children + 2)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["columns"],
        ["value"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=np.repeat(np.arange(trees), nodes).tolist(),
        nodes_nodeids=np.tile(np.arange(nodes), trees).tolist(),
        nodes_featureids=generator.integers(0, width, nodes * trees).tolist(),
        nodes_modes=modes,
        nodes_values=generator.normal(size=nodes * trees).astype(np.float32).tolist(),
        nodes_truenodeids=np.tile(left, trees).tolist(),
        nodes_falsenodeids=np.tile(right, trees).tolist(),
        target_treeids=np.repeat(np.arange(trees), leaves).tolist(),
        target_nodeids=np.tile(np.arange(inner, nodes), trees).tolist(),
        target_ids=[0] * (leaves * trees),
        target_weights=generator.normal(size=leaves * trees).astype(np.float32).tolist(),
    )
    graph = helper.make_graph(
        [node],
        "forest",
        [helper.make_tensor_value_info("columns", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["N", 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    tensors = Tensors(
        input=TensorSpec(name="columns", shape=(None, width)),
        outputs={"value": TensorSpec(name="value", shape=(None, 1))},
    )
    return bytes(model.SerializeToString()), tensors


def test_large_forests_answer_the_same_bits_as_a_plain_session() -> None:
    model, tensors = large_forest()
    assert len(model) > COMPACT_FROM_BYTES
    matrix = np.random.default_rng(6).normal(size=(500, 6)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several threads add up the trees in another order
    plain = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    expected = plain.run(None, {"columns": matrix})[0].reshape(-1)
    answers = OnnxSession(model, tensors).run(matrix)
    assert len(set(answers.tolist())) > 400, "the forest tells rows apart"
    assert answers.tobytes() == expected.tobytes()


def test_a_large_forest_takes_less_memory_than_three_times_its_graph() -> None:
    """Measured in a process of its own: what one more session adds to the resident memory."""
    script = """
import sys
from pathlib import Path
from rookery.package.session import COMPACT_FROM_BYTES, OnnxSession
from rookery.telemetry.process import resident_memory_mb
from tests.package.test_session import large_forest
model, tensors = large_forest()
kept = [OnnxSession(model, tensors)]
before = resident_memory_mb()
kept += [OnnxSession(model, tensors) for _ in range(4)]
print((resident_memory_mb() - before) / 4, len(model) / 1e6)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    added, size = map(float, done.stdout.split())
    assert added <= 3 * size + 1

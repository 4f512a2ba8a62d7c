"""ONNX files from elsewhere are brought into a package's shape, or refused with the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from pydantic import BaseModel

from rookery.errors import PackageError, UnsafeGraph
from rookery.export.adapt import adapt_model
from rookery.export.runner import GraphRunner
from rookery.fields.schema import read_input_model
from rookery.package.graph import inspect_graph
from rookery.service.task import Classification, Regression


class Pair(BaseModel):
    """Two numbers."""

    a: float
    b: float


PAIR = read_input_model(Pair)
TWO, THREE = Classification("no", "yes"), Classification("low", "middle", "high")
ROWS = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
WEIGHTS = np.asarray([[1.0, -2.0, 0.5], [0.3, 0.7, -1.0]])


def _model(
    nodes: list[Any],
    outputs: list[tuple[str, int, list[Any]]],
    *,
    constants: dict[str, Any] | None = None,
    shape: tuple[Any, ...] = (None, 2),
    kind: int = TensorProto.FLOAT,
    extra: list[Any] | None = None,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "from elsewhere",
        [helper.make_tensor_value_info("x", kind, list(shape)), *(extra or [])],
        [helper.make_tensor_value_info(name, dtype, size) for name, dtype, size in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
        doc_string="words",
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def _scores(width: int, kind: Any = np.float32) -> tuple[list[Any], dict[str, Any]]:
    return [helper.make_node("MatMul", ["x", "w"], ["scores"])], {"w": WEIGHTS[:, :width].astype(kind)}


def _softmax(scores: Any) -> Any:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _adapt(model: bytes, task: Any, **options: Any) -> Any:
    return adapt_model(model, schema=PAIR, task=task, matrix=ROWS, **options)


def _check_shape(model: bytes, output: str, shape: tuple[Any, ...]) -> None:
    facts = inspect_graph(model)
    assert [(t.name, t.dtype, t.shape) for t in facts.inputs] == [("columns", "float32", (None, 2))]
    assert [(t.name, t.dtype, t.shape) for t in facts.outputs] == [(output, "float32", shape)]


def test_logits_become_probabilities_by_softmax() -> None:
    nodes, constants = _scores(3)
    exported = _adapt(_model(nodes, [("scores", 1, [None, 3])], constants=constants), THREE, activation="softmax")
    _check_shape(exported.model, "probabilities", (None, 3))
    expected = _softmax(ROWS @ WEIGHTS)
    np.testing.assert_allclose(GraphRunner(exported.model).run(ROWS), expected, atol=1e-6)
    assert "words" not in str(ModelProto.FromString(exported.model).graph.doc_string)


def test_logits_without_an_activation_are_refused() -> None:
    nodes, constants = _scores(3)
    with pytest.raises(PackageError, match=r"no distribution over labels.*activation='softmax'"):
        _adapt(_model(nodes, [("scores", 1, [None, 3])], constants=constants), THREE)


@pytest.mark.parametrize("size", [[None, 1], [None]], ids=["column", "flat"])
def test_one_logit_becomes_two_probabilities_by_sigmoid(size: list[Any]) -> None:
    nodes, constants = _scores(1)
    if len(size) == 1:
        nodes.append(helper.make_node("Reshape", ["scores", "flat"], ["out"]))
        constants["flat"] = np.asarray([-1], dtype=np.int64)
    model = _model(nodes, [("scores" if len(size) == 2 else "out", 1, size)], constants=constants)
    found = GraphRunner(_adapt(model, TWO, activation="sigmoid").model).run(ROWS)
    yes = 1 / (1 + np.exp(-(ROWS @ WEIGHTS[:, 0])))
    np.testing.assert_allclose(found, np.stack([1 - yes, yes], axis=1), atol=1e-6)


def test_sigmoid_over_several_scores_is_refused() -> None:
    nodes, constants = _scores(3)
    with pytest.raises(PackageError, match="one score into two labels"):
        _adapt(_model(nodes, [("scores", 1, [None, 3])], constants=constants), THREE, activation="sigmoid")


def test_regression_is_flattened_and_double_precision_cast() -> None:
    nodes, constants = _scores(1, np.float64)
    model = _model(nodes, [("scores", TensorProto.DOUBLE, [None, 1])], constants=constants, kind=TensorProto.DOUBLE)
    exported = _adapt(model, Regression())
    _check_shape(exported.model, "value", (None,))
    np.testing.assert_allclose(GraphRunner(exported.model).run(ROWS), ROWS @ WEIGHTS[:, 0], rtol=1e-5, atol=1e-6)


def test_several_values_are_no_regression() -> None:
    nodes, constants = _scores(3)
    with pytest.raises(PackageError, match="answers 3 values a row"):
        _adapt(_model(nodes, [("scores", 1, [None, 3])], constants=constants), Regression())


def _classifier(labels: list[Any], *, zipmap: bool) -> bytes:
    is_text = isinstance(labels[0], str)
    names: dict[str, Any] = {"classlabels_strings" if is_text else "classlabels_ints": labels}
    keys: dict[str, Any] = {"classlabels_strings" if is_text else "classlabels_int64s": labels}
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "probabilities"],
            domain="ai.onnx.ml",
            coefficients=WEIGHTS.T.ravel().tolist(),
            intercepts=[0.0, 0.0, 0.0],
            multi_class=1,
            post_transform="SOFTMAX",
            **names,
        )
    ]
    kind = TensorProto.STRING if is_text else TensorProto.INT64
    outputs = [helper.make_tensor_value_info("label", kind, [None])]
    if zipmap:
        nodes.append(helper.make_node("ZipMap", ["probabilities"], ["map"], domain="ai.onnx.ml", **keys))
        value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        outputs.append(
            helper.make_value_info("map", helper.make_sequence_type_proto(helper.make_map_type_proto(kind, value)))
        )
    else:
        outputs.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 3]))
    graph = helper.make_graph(
        nodes, "classifier", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])], outputs
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


@pytest.mark.parametrize("zipmap", [True, False])
def test_labels_and_zipmap_are_left_out_and_the_tasks_order_is_kept(zipmap: bool) -> None:
    """The graph's own class names, in the library's order, decide which column is which label."""
    exported = _adapt(_classifier(["high", "low", "middle"], zipmap=zipmap), THREE)
    _check_shape(exported.model, "probabilities", (None, 3))
    assert "ai.onnx.ml.ZipMap" not in inspect_graph(exported.model).operators
    expected = _softmax(ROWS @ WEIGHTS)[:, [1, 2, 0]]
    np.testing.assert_allclose(GraphRunner(exported.model).run(ROWS), expected, atol=1e-6)


def test_numbered_classes_are_the_labels_positions() -> None:
    exported = _adapt(_classifier([0, 1, 2], zipmap=False), THREE)
    np.testing.assert_allclose(GraphRunner(exported.model).run(ROWS), _softmax(ROWS @ WEIGHTS), atol=1e-6)


def test_other_class_names_are_refused() -> None:
    with pytest.raises(PackageError, match=r"classes are cat, cow, dog, the task's labels low, middle, high"):
        _adapt(_classifier(["cat", "cow", "dog"], zipmap=False), THREE)


def test_a_graph_for_one_row_is_refused_with_the_cure() -> None:
    nodes, constants = _scores(1)
    model = _model(nodes, [("scores", 1, [1, 1])], constants=constants, shape=(1, 2))
    with pytest.raises(PackageError, match=r"exactly 1 row\(s\).*dynamic_axes"):
        _adapt(model, Regression())


def test_a_hidden_fixed_batch_is_refused() -> None:
    nodes, constants = _scores(1)
    nodes.append(helper.make_node("Reshape", ["scores", "one"], ["out"]))
    constants["one"] = np.asarray([1, 1], dtype=np.int64)
    with pytest.raises(PackageError, match=r"does not run on 30 rows and on one.*open first dimension"):
        _adapt(_model(nodes, [("out", 1, [None, 1])], constants=constants), Regression())


def test_a_graph_that_mixes_rows_is_refused() -> None:
    nodes, constants = _scores(1)
    nodes += [
        helper.make_node("ReduceMean", ["scores"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["scores", "mean"], ["out"]),
    ]
    with pytest.raises(PackageError, match="alone otherwise than in a batch"):
        _adapt(_model(nodes, [("out", 1, [None, 1])], constants=constants), Regression())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (None, 3)}, r"reads 3 columns, the input model has 2: a, b"),
        ({"shape": (None, 2, 1)}, r"shape \[None, 2, 1\]"),
        ({"kind": TensorProto.INT64}, r"no tensor of float32 or float64"),
        (
            {"extra": [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])]},
            r"2 inputs \(x, y\).*one float tensor",
        ),
    ],
    ids=["width", "rank", "integers", "two inputs"],
)
def test_other_inputs_are_refused(change: dict[str, Any], message: str) -> None:
    nodes, constants = _scores(1)
    with pytest.raises(PackageError, match=message):
        _adapt(_model(nodes, [("scores", 1, [None, 1])], constants=constants, **change), Regression())


def test_the_output_is_named_where_several_could_answer() -> None:
    nodes, constants = _scores(1)
    nodes.append(helper.make_node("Neg", ["scores"], ["negative"]))
    outputs = [("scores", 1, [None, 1]), ("negative", 1, [None, 1])]
    model = _model(nodes, outputs, constants=constants)
    with pytest.raises(PackageError, match=r"outputs are scores, negative: 2 of them.*output="):
        _adapt(model, Regression())
    with pytest.raises(PackageError, match=r"no output of floats called 'other'.*scores, negative"):
        _adapt(model, Regression(), output="other")
    exported = _adapt(model, Regression(), output="scores")
    assert "Neg" not in inspect_graph(exported.model).operators


def test_an_output_without_its_input_is_refused() -> None:
    nodes = [helper.make_node("Identity", ["w"], ["out"]), helper.make_node("Neg", ["x"], ["other"])]
    model = _model(nodes, [("out", 1, [None, 1])], constants={"w": np.ones((3, 1), np.float32)})
    with pytest.raises(PackageError, match="does not depend on its input"):
        _adapt(model, Regression())


def test_a_wrong_number_of_labels_is_refused() -> None:
    nodes, constants = _scores(3)
    model = _model(nodes, [("scores", 1, [None, 3])], constants=constants)
    with pytest.raises(PackageError, match=r"3 probabilities, the task has 2 labels: no, yes"):
        _adapt(model, TWO, activation="softmax")


def test_foreign_operators_and_rubbish_are_refused() -> None:
    nodes = [helper.make_node("Gelu", ["x"], ["out"], domain="com.microsoft")]
    with pytest.raises(UnsafeGraph, match=r"com\.microsoft"):
        _adapt(_model(nodes, [("out", 1, [None, 2])]), Regression())
    with pytest.raises(UnsafeGraph):
        _adapt(b"\x00rubbish", Regression())


def test_a_subgraph_reads_the_renamed_tensors() -> None:
    """An If node's branches capture tensors from outside; they are renamed inside too."""
    then = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["t"])],
        "then",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [None, 1])],
    )
    other = helper.make_graph(
        [helper.make_node("Neg", ["base"], ["o"])],
        "else",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, [None, 1])],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["base"]),
        helper.make_node("If", ["flag"], ["out"], then_branch=then, else_branch=other),
    ]
    constants = {"w": WEIGHTS[:, :1].astype(np.float32), "flag": np.asarray(False)}
    exported = _adapt(_model(nodes, [("out", 1, [None, 1])], constants=constants), Regression())
    np.testing.assert_allclose(GraphRunner(exported.model).run(ROWS), -(ROWS @ WEIGHTS[:, 0]), atol=1e-5)


def test_adapting_twice_gives_the_same_bytes() -> None:
    model = _classifier(["high", "low", "middle"], zipmap=True)
    assert _adapt(model, THREE).model == _adapt(model, THREE).model

"""Weights for pictures become a graph that reads raw RGB, answers as they do, and takes any number of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from rookery.errors import PackageError, UnsafeGraph
from rookery.export.graph import GRAPH_NAME
from rookery.export.parameters import count_parameters
from rookery.export.picture_graph import adapt_picture_model, picture_tensors
from rookery.export.picture_proof import made_up_pictures, normalise_pictures
from rookery.package.graph import inspect_graph
from tests.export.classifiers import CHANNELS, FIT, LABELS, MEAN, SIDE, STD, classifier
from tests.export.resnet import INPUT, OUTPUT, PARAMETERS, build_resnet50

IMAGENET: dict[str, Any] = {**FIT, "input": "input", "output": "output", "height": 224, "width": 224, "labels": 1_000}
MOBILENET_PARAMETERS = 3_487_816
"""3,504,872 as published, without one scale for each of 17,056 channels: they are folded into the convolutions."""

Array = npt.NDArray[Any]


def run(model: bytes, feeds: dict[str, Array]) -> Array:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


def softmax(scores: Array) -> Array:
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def random_pictures(number: int, side: int) -> npt.NDArray[np.uint8]:
    """Return noise that is coarse in some pictures and fine in others, each of its own brightness."""
    random = np.random.default_rng(7)
    made = []
    for index in range(number):
        cell = 1 << index % 4
        cells = random.integers(0, 256, (side // cell + 1, side // cell + 1, 3))
        coarse = cells.repeat(cell, axis=0).repeat(cell, axis=1)[:side, :side]
        made.append(coarse * random.uniform(0.2, 1))
    return np.asarray(made, dtype=np.uint8)


def singly(model: bytes, pictures: Array) -> Array:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"image": picture[None]})[0] for picture in pictures])


def check_parity(original: bytes, adapted: bytes, source: str, pictures: npt.NDArray[np.uint8]) -> Array:
    """Hold an adapted graph against the original behind NumPy's own normalisation; returns the probabilities."""
    normalised = normalise_pictures(pictures, MEAN, STD)
    expected = softmax(run(original, {source: normalised}))
    found = run(adapted, {"image": pictures})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(singly(adapted, pictures), found, rtol=0, atol=1e-5)
    return found


def test_normalisation_is_what_it_says() -> None:
    """The reference that graphs are held against: a share of 255, less the mean, over the deviation."""
    picture = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    picture[0, 1, 0] = (255, 0, 51)
    normalised = normalise_pictures(picture, (0.5, 0.25, 0.1), (0.25, 0.5, 0.1))
    assert normalised.shape == (1, 3, 2, 2)
    np.testing.assert_allclose(normalised[0, :, 1, 0], [2.0, -0.5, 1.0], atol=1e-6)


def test_the_graph_reads_bytes_and_answers_probabilities() -> None:
    adapted = adapt_picture_model(classifier(), **FIT)
    facts = inspect_graph(adapted)
    assert [(t.name, t.dtype, t.shape) for t in facts.inputs] == [("image", "uint8", (None, SIDE, SIDE, 3))]
    assert [(t.name, t.dtype, t.shape) for t in facts.outputs] == [("probabilities", "float32", (None, LABELS))]
    assert facts.opsets == (("", 12),)
    declared = picture_tensors(SIDE, SIDE, LABELS)
    assert (declared.input.name, declared.input.dtype, declared.input.shape) == (
        "image",
        "uint8",
        facts.inputs[0].shape,
    )
    assert declared.outputs["probabilities"].shape == (None, LABELS)
    check_parity(classifier(), adapted, "x", random_pictures(24, SIDE))


def test_the_same_weights_give_the_same_bytes() -> None:
    assert adapt_picture_model(classifier(), **FIT) == adapt_picture_model(classifier(), **FIT)
    assert ModelProto.FromString(adapt_picture_model(classifier(), **FIT)).graph.name == GRAPH_NAME


def test_what_exporters_note_is_forgotten() -> None:
    """Words, stack traces, shapes of old and default inputs stay behind."""

    def bend(model: ModelProto) -> None:
        model.ir_version = 3
        model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "made on my machine"
        model.graph.node[1].metadata_props.add(key="stack", value="made on my machine")
        model.graph.initializer[0].doc_string = "made on my machine"
        model.metadata_props.add(key="author", value="made on my machine")
        model.graph.value_info.append(helper.make_tensor_value_info("relu", TensorProto.FLOAT, [1, CHANNELS, 9, 9]))
        for tensor in model.graph.initializer:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        model.graph.output.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, None))

    adapted = adapt_picture_model(classifier(bend=bend), **FIT)
    assert b"my machine" not in adapted
    graph = ModelProto.FromString(adapted).graph
    assert (len(graph.input), len(graph.output), len(graph.value_info)) == (1, 1, 0)
    check_parity(classifier(), adapted, "x", random_pictures(4, SIDE))


def test_names_like_ours_are_moved() -> None:
    def bend(model: ModelProto) -> None:
        new = {"convolved": "probabilities", "pooled": "image", "relu": "rookery/scores", "bias": "rookery/factor"}
        for node in model.graph.node:
            for side in (node.input, node.output):
                for index, name in enumerate(side):
                    side[index] = new.get(name, name)
        for tensor in model.graph.initializer:
            tensor.name = new.get(tensor.name, tensor.name)

    adapted = adapt_picture_model(classifier(bend=bend), **FIT)
    check_parity(classifier(), adapted, "x", random_pictures(4, SIDE))
    assert "original/image" in {name for node in ModelProto.FromString(adapted).graph.node for name in node.output}


@pytest.mark.parametrize("source", ["image", "rookery/normalised", "probabilities"])
def test_the_input_may_be_called_like_ours(source: str) -> None:
    def bend(model: ModelProto) -> None:
        model.graph.input[0].name = model.graph.node[0].input[0] = source

    adapted = adapt_picture_model(classifier(bend=bend), **{**FIT, "input": source})
    check_parity(classifier(), adapted, "x", random_pictures(4, SIDE))


def add_softmax(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Softmax", ["scores"], ["sure"], axis=1))
    model.graph.output.append(helper.make_tensor_value_info("sure", TensorProto.FLOAT, [None, LABELS]))


def test_probabilities_are_left_as_they_are() -> None:
    adapted = adapt_picture_model(classifier(bend=add_softmax), **{**FIT, "output": "sure", "activation": "none"})
    assert inspect_graph(adapted).operators.count("Softmax") == 1
    check_parity(classifier(), adapted, "x", random_pictures(8, SIDE))


def reshape(target: str = "target", source: str = "pooled", **attributes: Any) -> list[Any]:
    return [helper.make_node("Reshape", [source, target], ["flat"], **attributes)]


def ints(*values: int) -> npt.NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)


FIXED: dict[str, dict[str, Any]] = {
    "flatten": {},
    "one row": {"flat": reshape(), "constants": {"target": ints(1, CHANNELS)}},
    "one row of what is left": {"flat": reshape(), "constants": {"target": ints(1, -1)}},
    "what is left": {"flat": reshape(), "constants": {"target": ints(-1, CHANNELS)}},
    "the first size": {"flat": reshape(), "constants": {"target": ints(0, -1)}},
    "squeeze": {"flat": [helper.make_node("Squeeze", ["pooled"], ["flat"], axes=[2, 3])]},
    "expand, which repeats nothing": {
        "flat": [
            helper.make_node("Flatten", ["pooled"], ["row"]),
            helper.make_node("Expand", ["row", "target"], ["flat"]),
        ],
        "constants": {"target": ints(1, CHANNELS)},
    },
    "constant node": {
        "flat": [
            helper.make_node("Constant", [], ["target"], value=numpy_helper.from_array(ints(1, CHANNELS), "t")),
            *reshape(),
        ]
    },
    "two in a row, one of weights": {
        "flat": [
            helper.make_node("Reshape", ["shift", "target"], ["row"]),
            helper.make_node("Reshape", ["pooled", "target"], ["first"]),
            helper.make_node("Add", ["first", "row"], ["second"]),
            *reshape(source="second"),
        ],
        "constants": {"target": ints(1, CHANNELS), "shift": np.arange(CHANNELS, dtype=np.float32)},
    },
}


@pytest.mark.parametrize("form", FIXED)
def test_a_graph_for_one_picture_takes_several(form: str) -> None:
    original = classifier(batch=1, **FIXED[form])
    adapted = adapt_picture_model(original, **FIT)
    pictures = random_pictures(6, SIDE)
    normalised = normalise_pictures(pictures, MEAN, STD)
    expected = np.concatenate([softmax(run(original, {"x": row[None]})) for row in normalised])
    np.testing.assert_allclose(run(adapted, {"image": pictures}), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        {
            "flat": [
                helper.make_node("Transpose", ["pooled"], ["turned"], perm=[1, 0, 2, 3]),
                *reshape(source="turned"),
            ],
            "constants": {"target": ints(1, CHANNELS)},
        },
        {"flat": reshape(allowzero=1), "constants": {"target": ints(1, CHANNELS)}, "opset": 14},
        {"flat": reshape("sum"), "constants": {"sum": ints(1, CHANNELS)}, "bend": lambda model: _compute_target(model)},
        {"flat": [helper.make_node("ReduceMean", ["pooled"], ["flat"], axes=[0, 2, 3], keepdims=0)]},
    ],
    ids=["turned", "zero means zero", "computed", "mean over pictures"],
)
def test_a_graph_for_one_picture_that_mixes_or_fixes_them_is_refused(form: dict[str, Any]) -> None:
    with pytest.raises(PackageError, match=r"exactly one picture|otherwise than the original") as caught:
        adapt_picture_model(classifier(batch=1, **form), **FIT)
    assert caught.value.cure


def _compute_target(model: ModelProto) -> None:
    """Let the target of a Reshape be told by the pixels, which no one can know before."""
    model.graph.node.insert(3, helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0))
    model.graph.node.insert(4, helper.make_node("Cast", ["most"], ["number"], to=TensorProto.INT64))
    model.graph.node.insert(5, helper.make_node("Sub", ["number", "number"], ["zero"]))
    model.graph.node.insert(6, helper.make_node("Add", ["sum", "zero"], ["told"]))
    model.graph.node[7].input[1] = "told"


def test_pictures_that_change_each_others_answers_are_refused() -> None:
    """Normalisation over the batch, as in a model that was exported while training."""
    mixed = [
        helper.make_node("Flatten", ["pooled"], ["row"]),
        helper.make_node("ReduceMean", ["row"], ["middle"], axes=[0]),
        helper.make_node("Sub", ["row", "middle"], ["centred"]),
        helper.make_node("Add", ["centred", "one"], ["flat"]),
    ]
    with pytest.raises(PackageError, match="pictures together otherwise than the original"):
        adapt_picture_model(classifier(flat=mixed, constants={"one": np.float32(1)}), **FIT)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"input": "pixels"}, {}, "inputs are x, declared is 'pixels'"),
        ({"output": "logits"}, {}, "outputs are scores, declared is 'logits'"),
        ({"labels": 7}, {}, r"has shape \[N, 5\], expected is \[N, 7\]"),
        ({"height": 32}, {}, r"has shape \[N, 3, 24, 24\], pictures are \[N, 3, 32, 24\]"),
        ({}, {"batch": 4}, "holds exactly 4 pictures"),
        ({"activation": "none"}, {}, "no distribution over labels"),
        ({"output": "sure"}, {"bend": add_softmax}, "probabilities already"),
        ({}, {"opset": 6}, "operator set 6"),
        ({}, {"bend": lambda model: model.graph.node.pop()}, "does not depend on its input"),
        ({}, {"bend": lambda model: setattr(model.graph.node[1], "op_type", "Relo")}, "ONNX Runtime cannot load"),
        ({}, {"bend": lambda model: _declare(model.graph.input[0], TensorProto.FLOAT16)}, "no tensor of float32"),
        ({}, {"bend": lambda model: _declare(model.graph.output[0], TensorProto.INT64)}, "no tensor of float32"),
        ({}, {"bend": lambda model: _make_nan(model)}, "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(changes: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PackageError, match=message):
        adapt_picture_model(classifier(**options), **{**FIT, **changes})


def _declare(value: Any, kind: int) -> None:
    value.type.tensor_type.elem_type = kind


def _make_nan(model: ModelProto) -> None:
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.full(CHANNELS, np.nan, np.float32), "bias"))


def test_a_second_input_is_refused() -> None:
    def bend(model: ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("training", TensorProto.BOOL, []))

    with pytest.raises(PackageError, match="inputs are x, training"):
        adapt_picture_model(classifier(bend=bend), **FIT)


def test_shapes_that_are_not_declared_are_tried_out() -> None:
    """A graph that says nothing of its shapes is taken if it answers rightly, and refused if it does not."""

    def bend(model: ModelProto) -> None:
        for value in (model.graph.input[0], model.graph.output[0]):
            value.type.tensor_type.ClearField("shape")

    check_parity(classifier(), adapt_picture_model(classifier(bend=bend), **FIT), "x", random_pictures(3, SIDE))
    with pytest.raises(PackageError, match="expected are 6 scores"):
        adapt_picture_model(classifier(bend=bend), **{**FIT, "labels": 6})


def test_foreign_operators_and_data_outside_the_file_are_refused() -> None:
    def make_foreign(model: ModelProto) -> None:
        model.graph.node[0].domain = "com.example"

    def take_outside(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")

    for bend, message in ((make_foreign, "com.example"), (take_outside, "outside the file")):
        with pytest.raises(UnsafeGraph, match=message):
            adapt_picture_model(classifier(bend=bend), **FIT)
    with pytest.raises(UnsafeGraph, match="no ONNX model"):
        adapt_picture_model(b"version https://git-lfs.github.com/spec/v1", **FIT)


def test_parameters_are_what_was_trained() -> None:
    """Neither bounds, nor what normalisation observed, nor what is written around the original graph."""
    trained = CHANNELS * 27 + CHANNELS + CHANNELS * LABELS
    assert count_parameters(classifier()) == trained
    assert count_parameters(adapt_picture_model(classifier(), **FIT)) == trained
    quantised = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["floats"])],
        "quantised",
        [],
        [],
        [
            numpy_helper.from_array(np.zeros((3, 4), np.int8), "bytes"),
            numpy_helper.from_array(np.asarray(0.1, np.float32), "scale"),
            numpy_helper.from_array(np.asarray(0, np.int8), "zero"),
        ],
    )
    assert count_parameters(helper.make_model(quantised).SerializeToString()) == 12


@pytest.mark.parametrize(
    "options", [{}, {"folded": True, "batch": 1}], ids=["normalisation apart, open", "folded, for one picture"]
)
def test_resnet50_goes_the_same_way(options: dict[str, Any]) -> None:
    original = build_resnet50(**options)
    adapted = adapt_picture_model(original, **{**IMAGENET, "input": INPUT, "output": OUTPUT})
    assert count_parameters(adapted) == PARAMETERS - (26_560 if options else 0)
    pictures = made_up_pictures(224, 224)
    normalised = normalise_pictures(pictures, MEAN, STD)
    session = onnxruntime.InferenceSession(original, providers=["CPUExecutionProvider"])
    expected = softmax(np.concatenate([session.run(None, {INPUT: row[None]})[0] for row in normalised]))
    found = run(adapted, {"image": pictures})
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def crop(path: Path) -> npt.NDArray[np.uint8]:
    """Return the centre of a photograph whose shorter side was brought to 256: [224, 224, 3]."""
    picture = Image.open(path).convert("RGB")
    scale = 256 / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR)
    left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
    return np.asarray(picture.crop((left, top, left + 224, top + 224)), dtype=np.uint8)


def test_real_weights_know_dogs_from_cats(mobilenet: Path, pictures: Path) -> None:
    original = mobilenet.read_bytes()
    adapted = adapt_picture_model(original, **IMAGENET)
    photographs = np.stack([crop(pictures / name) for name in ("dog.jpg", "cat.jpg", "kitten.png")])
    turned = np.concatenate([photographs, photographs[:, :, ::-1], photographs[:, ::-1], 255 - photographs])
    found = check_parity(original, adapted, "input", np.concatenate([turned, random_pictures(12, 224)]))
    assert found[:3].argmax(axis=1).tolist() == [207, 285, 281]
    assert count_parameters(adapted) == MOBILENET_PARAMETERS

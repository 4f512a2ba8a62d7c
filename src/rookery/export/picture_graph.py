"""Trained weights for pictures become a package's graph: raw RGB values in, probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from rookery.errors import PackageError
from rookery.export.graph import GRAPH_NAME, IR_VERSION, captured_names, needed_nodes, rename_tensors, serialize
from rookery.export.open_batch import open_batch
from rookery.export.picture_proof import IMAGE, PROBABILITIES, PictureFit, prove_pictures
from rookery.package.graph import inspect_graph
from rookery.package.manifest import Tensors, TensorSpec
from rookery.service.pretrained import PictureActivation

OWN = "rookery/"
"""Begins the names of the tensors that are written around the original graph."""
NORMALISED = OWN + "normalised"
SCORES = OWN + "scores"
MOVED = "original/"
"""Goes before the graph's own names where they meet ours."""
PICTURES = "N"
"""The open dimension has a name, so that ONNX Runtime sees which tensors are of one size and reuses their memory."""
OLDEST_OPSET = 7
"""The first in which Mul and Add repeat one number per channel over a picture."""
BRIGHTEST = 255.0


def adapt_picture_model(
    model: bytes,
    *,
    input: str,  # noqa: A002 (called as `Pretrained` calls it)
    output: str,
    height: int,
    width: int,
    labels: int,
    mean: Sequence[float],
    std: Sequence[float],
    activation: PictureActivation,
) -> bytes:
    """Make a package's graph of a classifier that reads normalised RGB, float32 [N, 3, height, width].

    The graph returned reads `image` uint8 [N, height, width, 3], normalises it as `(value / 255 - mean) / std` per
    channel, and answers `probabilities` float32 [N, labels]: the original output behind a softmax, or as it is
    (`activation="none"`). Before it is returned it has answered a few made-up pictures as the original does, in a
    batch and alone. Equal arguments give equal bytes.

    Raises:
        UnsafeGraph: it uses other operators than ONNX's own, or data outside the file.
        PackageError: it does not read such pictures, answers something else, or cannot take several at once.
    """
    fit = PictureFit(
        source=input,
        result=output,
        height=height,
        width=width,
        labels=labels,
        mean=tuple(mean),
        std=tuple(std),
        activation=activation,
    )
    inspect_graph(model)
    try:
        whole = ModelProto.FromString(model)
    except DecodeError as error:
        raise PackageError("the file is no ONNX model") from error
    _check_opset(whole)
    batch = _check_input(whole.graph, fit)
    _check_output(whole.graph, fit)
    nodes = needed_nodes(whole.graph.node, {output}, stop={input})
    if not any(input in captured_names(node) for node in nodes):
        raise PackageError(f"the graph's output {output!r} does not depend on its input {input!r}")
    added = [] if batch is None else open_batch(whole, nodes, source=input, result=output, size=(3, height, width))
    adapted = _build(whole, nodes, [*whole.graph.initializer, *added], fit)
    prove_pictures(model, adapted, fit)
    return adapted


def picture_tensors(height: int, width: int, labels: int) -> Tensors:
    """Return input and output of an adapted graph as the manifest records them."""
    return Tensors(
        input=TensorSpec(name=IMAGE, dtype="uint8", shape=(None, height, width, 3)),
        outputs={PROBABILITIES: TensorSpec(name=PROBABILITIES, shape=(None, labels))},
    )


def _check_opset(model: ModelProto) -> None:
    version = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=1)
    if version < OLDEST_OPSET:
        raise PackageError(
            f"the graph is written in ONNX's operator set {version}, the oldest that is read is {OLDEST_OPSET}",
            cure="Convert it: onnx.version_converter.convert_version(model, 18)",
        )


def _check_input(graph: GraphProto, fit: PictureFit) -> int | None:
    """Return how many pictures the graph takes (None: any number), if it reads the pictures that are meant."""
    initialized = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in initialized}
    if list(inputs) != [fit.source]:
        raise PackageError(
            f"the graph's inputs are {', '.join(inputs) or 'none'}, declared is {fit.source!r}",
            cure="Declare the one tensor that holds the pictures",
        )
    shape = _float_shape(inputs[fit.source], "input")
    if not _fits(shape, (3, fit.height, fit.width)):
        raise PackageError(
            f"the graph's input {fit.source!r} has shape {_write(shape)}, "
            f"pictures are {_write((None, 3, fit.height, fit.width))}",
            cure="Use weights for RGB pictures of this size, channels first",
        )
    batch = shape[0] if shape else None
    if batch not in (None, 1):
        raise PackageError(
            f"the graph's input {fit.source!r} holds exactly {batch} pictures",
            cure="Export it with an open first dimension (PyTorch: dynamic_axes={'input': {0: 'batch'}})",
        )
    return batch


def _check_output(graph: GraphProto, fit: PictureFit) -> None:
    outputs = {value.name: value for value in graph.output}
    if fit.result not in outputs:
        raise PackageError(
            f"the graph's outputs are {', '.join(outputs) or 'none'}, declared is {fit.result!r}",
            cure="Declare the tensor that holds one score per label",
        )
    shape = _float_shape(outputs[fit.result], "output")
    if not _fits(shape, (fit.labels,)):
        raise PackageError(
            f"the graph's output {fit.result!r} has shape {_write(shape)}, expected is {_write((None, fit.labels))}",
            cure="Declare the tensor that holds one score per label, and as many labels as it has",
        )


def _float_shape(value: ValueInfoProto, what: str) -> tuple[int | None, ...] | None:
    """Return the declared shape of a float32 tensor; None where none is declared, open dimensions are None."""
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        raise PackageError(f"the graph's {what} {value.name!r} is no tensor of float32", cure="Export it in float32")
    if not tensor.HasField("shape"):
        return None
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)


def _fits(shape: tuple[int | None, ...] | None, expected: tuple[int, ...]) -> bool:
    """Say whether a shape, behind its first dimension, can be the expected one."""
    if shape is None:
        return True
    return len(shape) == len(expected) + 1 and all(
        size in (None, wanted) for size, wanted in zip(shape[1:], expected, strict=True)
    )


def _write(shape: tuple[int | None, ...] | None) -> str:
    return "[" + ", ".join("N" if size is None else str(size) for size in shape or ()) + "]"


def _build(model: ModelProto, nodes: list[NodeProto], tensors: Iterable[TensorProto], fit: PictureFit) -> bytes:
    """Write the finished model: our nodes, the original's between them, and the constants that they read."""
    wanted = {name for node in nodes for name in captured_names(node)}
    constants = [tensor for tensor in tensors if tensor.name in wanted]
    last = PROBABILITIES if fit.activation == "none" else SCORES
    names = {**_moved_names(nodes, constants), fit.source: NORMALISED, fit.result: last}
    for node in nodes:
        rename_tensors(node, names)
        _forget_origin(node)
    for tensor in constants:
        tensor.name = names.get(tensor.name, tensor.name)
        tensor.ClearField("doc_string")
    before, factors = _normalise(fit.mean, fit.std)
    after = [] if fit.activation == "none" else [helper.make_node("Softmax", [SCORES], [PROBABILITIES], axis=1)]
    graph = helper.make_graph(
        [*before, *nodes, *after],
        GRAPH_NAME,
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, [PICTURES, fit.height, fit.width, 3])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, [PICTURES, fit.labels])],
        initializer=[*factors, *constants],
    )
    opsets = {item.domain: item.version for item in model.opset_import}
    return serialize(
        helper.make_model(
            graph,
            producer_name=GRAPH_NAME,
            # Before version 4 constants were inputs, which a caller could replace.
            ir_version=max(model.ir_version, IR_VERSION),
            opset_imports=[helper.make_opsetid(domain, opsets[domain]) for domain in sorted(opsets)],
            functions=list(model.functions),
        )
    )


def _normalise(mean: Sequence[float], std: Sequence[float]) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return the nodes from the picture to the normalised input, and their constants.

    The picture is turned to channels first while it is bytes, a quarter of the memory; over channels last, the two
    operations that follow would be some fifteen times slower.
    """
    factor = 1.0 / (BRIGHTEST * np.asarray(std, dtype=np.float64))
    offset = -np.asarray(mean, dtype=np.float64) / np.asarray(std, dtype=np.float64)
    turned, floats, scaled = OWN + "channels_first", OWN + "floats", OWN + "scaled"
    nodes = [
        helper.make_node("Transpose", [IMAGE], [turned], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", [turned], [floats], to=TensorProto.FLOAT),
        helper.make_node("Mul", [floats, OWN + "factor"], [scaled]),
        helper.make_node("Add", [scaled, OWN + "offset"], [NORMALISED]),
    ]
    return nodes, [_per_channel(OWN + "factor", factor), _per_channel(OWN + "offset", offset)]


def _per_channel(name: str, values: npt.NDArray[np.float64]) -> TensorProto:
    return numpy_helper.from_array(values.astype(np.float32).reshape(1, 3, 1, 1), name)


def _moved_names(nodes: Iterable[NodeProto], constants: Iterable[TensorProto]) -> dict[str, str]:
    """Return new names for the graph's own tensors that are called like ours."""
    names = {name for node in nodes for name in (*node.output, *captured_names(node))}
    names |= {tensor.name for tensor in constants}
    moved: dict[str, str] = {}
    for name in sorted(names):
        if name in (IMAGE, PROBABILITIES) or name.startswith(OWN):
            free = MOVED + name
            while free in names:
                free = MOVED + free
            moved[name] = free
    return moved


def _forget_origin(node: NodeProto) -> None:
    """Remove what an exporter noted of the machine and the code it ran on."""
    node.ClearField("doc_string")
    node.ClearField("metadata_props")
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                _forget_origin(inner)

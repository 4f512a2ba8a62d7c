"""A classifier that was exported for exactly one picture learns to take several, where that is provably the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, TensorShapeProto, helper, numpy_helper

from rookery.errors import PackageError
from rookery.export.graph import captured_names

BATCH = "rookery_batch"
"""Stands for the number of pictures while shapes are followed through the graph."""
OPENED = "rookery/opened_{}"
LARGE = 64
"""Elements above which a constant can be no shape; its values are left out while shapes are followed."""

Dimension = int | str | None
Shapes = Mapping[str, tuple[Dimension, ...]]


def open_batch(
    model: ModelProto, nodes: Sequence[NodeProto], *, source: str, result: str, size: tuple[int, int, int]
) -> list[TensorProto]:
    """Make `nodes`, which lead from `source` [1, *size] to `result`, work for any number of pictures.

    What holds exporters' graphs to one picture are Reshape nodes whose constant target begins with 1 (or with -1,
    which hides what it stands for). Such a node may keep its input's first dimension instead (0 in ONNX) if that is
    the number of pictures and the other sizes multiply to the same: then every picture is reshaped as it was alone.
    Shapes are inferred with a symbol for the number of pictures; the graph is accepted if the symbol arrives at its
    output. The nodes are changed in place; the constants that they now read in addition are returned.

    Raises:
        PackageError: it cannot be shown that the output has one row for each picture.
    """
    constants = _small_constants(model, nodes)
    added: list[TensorProto] = []
    for _ in range(len(nodes) + 1):
        shapes = _infer(model, nodes, added, source, result, size)
        opened = next((made for made in (_open(node, shapes, constants, len(added)) for node in nodes) if made), None)
        if opened is None:
            break
        added.append(opened)
    if (shapes.get(result) or (None,))[0] != BATCH:
        raise PackageError(
            "the graph takes exactly one picture, and it cannot be shown that it answers several one by one",
            cure="Export it with an open first dimension (PyTorch: dynamic_axes={'input': {0: 'batch'}})",
        )
    return added


def _open(node: NodeProto, shapes: Shapes, constants: Mapping[str, list[int]], number: int) -> TensorProto | None:
    """Let a Reshape node keep its input's first dimension, if that is the number of pictures; None: it stays."""
    if node.op_type != "Reshape" or any(item.name == "allowzero" and item.i for item in node.attribute):
        return None
    target, given = constants.get(node.input[1]), shapes.get(node.input[0])
    if not target or not given or given[0] != BATCH or target[0] not in (1, -1):
        return None
    rest = [size for size in given[1:] if isinstance(size, int)]
    if len(rest) != len(given) - 1 or not _keeps_rows(target[1:], math.prod(rest)):
        return None
    made = numpy_helper.from_array(np.asarray([0, *target[1:]], dtype=np.int64), OPENED.format(number))
    node.input[1] = made.name
    return made


def _keeps_rows(target: Sequence[int], elements: int) -> bool:
    """Say whether the sizes behind the first describe exactly as many elements as one picture has there."""
    if any(size == 0 or size < -1 for size in target) or target.count(-1) > 1:
        return False
    known = math.prod(size for size in target if size != -1)
    return elements % known == 0 if -1 in target else elements == known


def held_tensors(model: ModelProto, nodes: Iterable[NodeProto]) -> dict[str, TensorProto]:
    """Return the tensors that a graph holds, by name: its initializers and what Constant nodes among `nodes` say."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in nodes:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return tensors


def _small_constants(model: ModelProto, nodes: Sequence[NodeProto]) -> dict[str, list[int]]:
    """Return the whole numbers that a graph holds, by tensor: what a Reshape can be told."""
    return {
        name: numpy_helper.to_array(tensor).tolist()
        for name, tensor in held_tensors(model, nodes).items()
        if tensor.data_type == TensorProto.INT64 and len(tensor.dims) == 1 and tensor.dims[0] <= LARGE
    }


def _infer(
    model: ModelProto,
    nodes: Sequence[NodeProto],
    added: Sequence[TensorProto],
    source: str,
    result: str,
    size: tuple[int, int, int],
) -> dict[str, tuple[Dimension, ...]]:
    """Return the shapes of all tensors, with `BATCH` for the number of pictures."""
    wanted = {name for node in nodes for name in captured_names(node)}
    inputs = [helper.make_tensor_value_info(source, TensorProto.FLOAT, [BATCH, *size])]
    constants = list(added)
    for tensor in model.graph.initializer:
        if tensor.name in wanted and math.prod(tensor.dims) <= LARGE:
            constants.append(tensor)
        elif tensor.name in wanted:
            inputs.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    graph = helper.make_graph(
        nodes, "shapes", inputs, [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)], constants
    )
    sketch = helper.make_model(
        graph, ir_version=9, opset_imports=list(model.opset_import), functions=list(model.functions)
    )
    try:
        known: Any = onnx.shape_inference.infer_shapes(sketch, data_prop=True).graph
    except Exception as error:  # onnx's own exceptions share no base but Exception
        raise PackageError(f"the graph's shapes contradict each other: {str(error)[:300]}") from error
    values = (*known.input, *known.value_info, *known.output)
    typed = {value.name: value.type.tensor_type for value in values}
    return {name: _read_shape(tensor.shape) for name, tensor in typed.items() if tensor.HasField("shape")}


def _read_shape(shape: TensorShapeProto) -> tuple[Dimension, ...]:
    return tuple(size.dim_value if size.HasField("dim_value") else size.dim_param or None for size in shape.dim)

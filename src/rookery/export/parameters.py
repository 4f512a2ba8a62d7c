"""How many trained numbers a graph holds."""

from __future__ import annotations

import math

from onnx import ModelProto, TensorProto

from rookery.export.open_batch import held_tensors
from rookery.export.picture_graph import OWN

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_BYTES = (TensorProto.INT8, TensorProto.UINT8)
_OBSERVED = slice(3, 5)
"""BatchNormalization's running mean and variance among its inputs."""


def count_parameters(model: bytes) -> int:
    """Return the number of trained numbers in a graph, counted as training frameworks do.

    They are the elements of its float tensors (and of matrices of bytes, in quantised graphs). Left out are single
    numbers such as a bound, what BatchNormalization observed while it was trained, and what an adapted graph
    normalises pictures by.
    """
    whole = ModelProto.FromString(model)
    nodes = whole.graph.node
    read = {name for node in nodes for name in node.input}
    observed = {name for node in nodes if node.op_type == "BatchNormalization" for name in node.input[_OBSERVED]}
    return sum(
        math.prod(tensor.dims)
        for name, tensor in held_tensors(whole, nodes).items()
        if name in read - observed and not name.startswith(OWN) and _is_trained(tensor)
    )


def _is_trained(tensor: TensorProto) -> bool:
    kinds = _FLOATS if len(tensor.dims) < 2 else (*_FLOATS, *_BYTES)
    return tensor.data_type in kinds and math.prod(tensor.dims) > 1

"""A small classifier of pictures that tests bend in every way that exporters do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

SIDE, CHANNELS, LABELS = 24, 8, 5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FIT: dict[str, Any] = {
    "input": "x",
    "output": "scores",
    "height": SIDE,
    "width": SIDE,
    "labels": LABELS,
    "mean": MEAN,
    "std": STD,
    "activation": "softmax",
}

Bend = Callable[[ModelProto], None]


def classifier(
    *,
    batch: int | None = None,
    flat: Sequence[NodeProto] | None = None,
    constants: dict[str, Any] | None = None,
    opset: int = 12,
    bend: Bend | None = None,
) -> bytes:
    """Return ONNX bytes: `x` [batch, 3, SIDE, SIDE] → a convolution, the mean of each channel, `scores`.

    `flat` are the nodes from `pooled` [N, CHANNELS, 1, 1] to `flat` [N, CHANNELS] (a Flatten unless given), with
    their `constants`; `bend` changes the finished model.
    """
    random = np.random.default_rng(3)
    held = {
        "filters": random.normal(size=(CHANNELS, 3, 3, 3)).astype(np.float32),
        "bias": random.normal(size=CHANNELS).astype(np.float32),
        "last": random.normal(size=(CHANNELS, LABELS)).astype(np.float32),
        **{name: np.asarray(value) for name, value in (constants or {}).items()},
    }
    nodes = [
        helper.make_node("Conv", ["x", "filters", "bias"], ["convolved"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["convolved"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pooled"]),
        *(flat if flat is not None else [helper.make_node("Flatten", ["pooled"], ["flat"])]),
        helper.make_node("MatMul", ["flat", "last"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "from elsewhere",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, LABELS])],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    model = helper.make_model(graph, ir_version=7, opset_imports=[helper.make_opsetid("", opset)])
    if bend is not None:
        bend(model)
    return bytes(model.SerializeToString())

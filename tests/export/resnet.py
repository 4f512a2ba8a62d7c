"""A real ResNet-50 (v1) with random weights: what is left of the zoo's file where nothing can be downloaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

INPUT, OUTPUT = "data", "resnetv17_dense0_fwd"
"""As the zoo's file calls them."""
PARAMETERS = 25_557_032
"""Convolutions 23,454,912, BatchNormalization's scales and biases 53,120, the last layer 2,049,000."""
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
"""Bottlenecks of each stage, and their inner channels; four times as many come out."""


@dataclass(slots=True)
class _Writer:
    folded: bool
    random: np.random.Generator
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"{name}_node", **attributes))
        return name

    def hold(self, values: npt.NDArray[Any]) -> str:
        name = f"weight_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def draw(self, *shape: int, gain: float) -> npt.NDArray[np.float32]:
        """Return He-scaled weights: what enters a layer leaves it with about the same spread."""
        scale = np.float32(np.sqrt(gain / np.prod(shape[1:])))
        return self.random.standard_normal(shape, dtype=np.float32) * scale

    def convolve(self, source: str, channels: tuple[int, int], kernel: int, stride: int = 1, gain: float = 2.0) -> str:
        """Append a convolution with its normalisation, which `folded` has become a bias."""
        weights = self.draw(channels[1], channels[0], kernel, kernel, gain=gain)
        shift = self.random.standard_normal(channels[1], dtype=np.float32) * np.float32(0.1)
        side: dict[str, Any] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        if self.folded:
            return self.add("Conv", source, self.hold(weights), self.hold(shift), **side)
        result = self.add("Conv", source, self.hold(weights), **side)
        ones, zeros = np.ones(channels[1], np.float32), np.zeros(channels[1], np.float32)
        parts = [self.hold(values) for values in (ones, shift, zeros, ones)]
        return self.add("BatchNormalization", result, *parts, epsilon=1e-5)

    def bottleneck(self, source: str, entering: int, inner: int, stride: int) -> str:
        result = self.add("Relu", self.convolve(source, (entering, inner), 1, stride))
        result = self.add("Relu", self.convolve(result, (inner, inner), 3))
        # The branch adds a quarter to what passes by it, so that sixteen of them do not run away.
        result = self.convolve(result, (inner, 4 * inner), 1, gain=0.25)
        is_same = entering == 4 * inner and stride == 1
        passing = source if is_same else self.convolve(source, (entering, 4 * inner), 1, stride, gain=1.0)
        return self.add("Relu", self.add("Add", result, passing))


def build_resnet50(*, folded: bool = False, batch: int | str = "N", seed: int = 0, labels: int = 1_000) -> bytes:
    """Return the ONNX bytes of a ResNet-50: `data` [N, 3, 224, 224] normalised RGB, [N, labels] scores out.

    `folded`: as exporters write it in inference mode, normalisation inside the convolutions. `batch` is the first
    dimension of the input; for 1 the last reshape is fixed to one picture too, as some exporters write it.
    """
    writer = _Writer(folded, np.random.default_rng(seed))
    result = writer.add("Relu", writer.convolve(INPUT, (3, 64), 7, 2))
    result = writer.add("MaxPool", result, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    entering = 64
    for stage, (blocks, inner) in enumerate(STAGES):
        for block in range(blocks):
            result = writer.bottleneck(result, entering, inner, 2 if block == 0 and stage > 0 else 1)
            entering = 4 * inner
    result = writer.add("GlobalAveragePool", result)
    if batch == 1:
        result = writer.add("Reshape", result, writer.hold(np.asarray([1, entering], np.int64)))
    else:
        result = writer.add("Flatten", result)
    last = (writer.hold(writer.draw(labels, entering, gain=1.0)), writer.hold(np.zeros(labels, np.float32)))
    writer.add("Gemm", result, *last, output=OUTPUT, transB=1)
    graph = helper.make_graph(
        writer.nodes,
        "mxnet_converted_model",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [batch, 3, 224, 224])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, labels])],
        writer.constants,
    )
    opsets = [helper.make_opsetid("", 12)]
    return bytes(helper.make_model(graph, ir_version=4, opset_imports=opsets).SerializeToString())

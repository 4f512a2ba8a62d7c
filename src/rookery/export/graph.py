"""`GraphBuilder`: the few operators of an exported model, gathered into deterministic ONNX bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

OPSET = 18
ML_OPSET = 3
IR_VERSION = 9
GRAPH_NAME = "rookery"
"""Fixed: converters that draw a random name give the same model another digest every time."""

FLOAT, DOUBLE, BOOL = 1, 11, 9
"""ONNX's numbers for tensor types, as `Cast` wants them."""

ML_DOMAIN = "ai.onnx.ml"
COLUMNS = "columns"
"""The graph's input: float32 [N, width]."""
FEATURES = "features"
"""Columns and derived features side by side: float32 [N, width + derived]."""


@dataclass(slots=True)
class GraphBuilder:
    """Collects nodes and constants under names that follow from their order alone.

    Equal plain operations on equal inputs are written once, so derived features that share a part
    (the cosine of a latitude, say) share its node too.
    """

    nodes: list[NodeProto] = field(default_factory=list)
    _constants: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    _tensors: dict[str, TensorProto] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], str] = field(default_factory=dict)

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Return the name of a constant tensor, written once per content."""
        array = np.ascontiguousarray(np.asarray(value, dtype=dtype))
        shape = np.shape(value)
        key = (array.dtype.str, shape, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = name
            self._tensors[name] = numpy_helper.from_array(array.reshape(shape), name)
        return self._constants[key]

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append a node of ONNX's own domain and return its output's name."""
        key = (operator, inputs, tuple(sorted(attributes.items())))
        if output is None and key in self._known:
            return self._known[key]
        name = self._append(operator, inputs, "", output, attributes)
        self._known.setdefault(key, name)
        return name

    def add_ml(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node of the `ai.onnx.ml` domain and return its output's name."""
        return self._append(operator, inputs, ML_DOMAIN, None, attributes)

    def _append(
        self, operator: str, inputs: tuple[str, ...], domain: str, output: str | None, attributes: Mapping[str, Any]
    ) -> str:
        name = output or f"tensor_{len(self.nodes)}"
        node = helper.make_node(operator, list(inputs), [name], name=f"node_{len(self.nodes)}", domain=domain)
        node.attribute.extend(_make_attribute(key, attributes[key]) for key in sorted(attributes))
        self.nodes.append(node)
        return name

    def finish(self, *, source: str, width: int, result: str, output: str, shape: Iterable[int | None]) -> bytes:
        """Return a model's bytes: from the tensor `source` (named as the input) to `result`, renamed to `output`.

        Only what leads from the one to the other is kept. Equal content gives equal bytes, in any process. The
        builder is used up: its nodes now name the output.
        """
        nodes = needed_nodes(self.nodes, {result}, stop={source})
        if not nodes:
            raise ValueError(f"tensor {result!r} is not computed from {source!r}")
        for node in nodes:
            rename_tensors(node, {result: output})
        wanted = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            GRAPH_NAME,
            [helper.make_tensor_value_info(source, TensorProto.FLOAT, [None, width])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, list(shape))],
            initializer=[tensor for name, tensor in self._tensors.items() if name in wanted],
        )
        return serialize(
            helper.make_model(
                graph,
                producer_name=GRAPH_NAME,
                ir_version=IR_VERSION,
                opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML_DOMAIN, ML_OPSET)],
            )
        )


def _make_attribute(name: str, value: Any) -> AttributeProto:
    """Make an attribute; arrays are written as they are, where ONNX's helper would look at every one of millions."""
    if not isinstance(value, np.ndarray):
        return helper.make_attribute(name, value)
    attribute = AttributeProto(name=name)
    if value.dtype.kind == "f":
        attribute.type = AttributeProto.FLOATS
        attribute.floats.extend(value.tolist())
    elif value.dtype.kind == "S":
        attribute.type = AttributeProto.STRINGS
        attribute.strings.extend(value.tolist())
    else:
        attribute.type = AttributeProto.INTS
        attribute.ints.extend(value.tolist())
    return attribute


def needed_nodes(nodes: Iterable[NodeProto], results: set[str], *, stop: set[str]) -> list[NodeProto]:
    """Return the nodes that lead to `results`, in their order; tensors in `stop` are inputs and need no node."""
    wanted = set(results) - stop
    kept: list[NodeProto] = []
    for node in reversed(list(nodes)):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(name for name in captured_names(node) if name and name not in stop)
    return kept[::-1]


def captured_names(node: NodeProto) -> list[str]:
    """Return every tensor a node reads, those its subgraphs take from outside included."""
    names = list(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names.extend(captured_names(inner))
            names.extend(output.name for output in graph.output)
    return names


def rename_tensors(node: NodeProto, names: Mapping[str, str]) -> None:
    """Rename the tensors a node reads and writes, in its subgraphs too."""
    for side in (node.input, node.output):
        for index, name in enumerate(side):
            if name in names:
                side[index] = names[name]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                rename_tensors(inner, names)
            for output in graph.output:
                output.name = names.get(output.name, output.name)


def cut_model(model: bytes, *, at: str, width: int) -> bytes:
    """Return the part of a model behind the tensor `at`, which becomes its float32 input [N, width].

    A model that holds no such tensor is returned as it is.
    """
    whole = ModelProto.FromString(model)
    if not any(at in node.output for node in whole.graph.node):
        return model
    graph = whole.graph
    nodes = needed_nodes(graph.node, {output.name for output in graph.output}, stop={at})
    wanted = {name for node in nodes for name in captured_names(node)}
    part = helper.make_graph(
        nodes,
        graph.name,
        [helper.make_tensor_value_info(at, TensorProto.FLOAT, [None, width])],
        list(graph.output),
        initializer=[tensor for tensor in graph.initializer if tensor.name in wanted],
    )
    return serialize(helper.make_model(part, ir_version=whole.ir_version, opset_imports=list(whole.opset_import)))


def serialize(model: ModelProto) -> bytes:
    """Return a model's bytes in protobuf's deterministic order."""
    return bytes(model.SerializeToString(deterministic=True))

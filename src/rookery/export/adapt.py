"""An ONNX file that exists already becomes a package's graph: one input, one output, under their own names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from rookery.errors import PackageError
from rookery.export.convert import Exported
from rookery.export.graph import COLUMNS, GRAPH_NAME, OPSET, captured_names, needed_nodes, rename_tensors, serialize
from rookery.export.runner import GraphRunner, Matrix
from rookery.fields.schema import InputSchema
from rookery.package.graph import inspect_graph
from rookery.service.task import Classification, Task

Activation = Literal["softmax", "sigmoid"]
"""What turns a graph's raw scores into probabilities."""

FLOATS = {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64", TensorProto.FLOAT16: "float16"}
PREFIX = "original/"
"""Goes before the graph's own tensor names, so that they cannot meet ours."""
SUM_TOLERANCE = 1e-3


def adapt_model(
    model: bytes,
    *,
    schema: InputSchema,
    task: Task,
    matrix: Matrix,
    output: str | None = None,
    activation: Activation | None = None,
) -> Exported:
    """Make a package's graph of an existing ONNX model.

    The model has one input of floats [N, width] and an output of probabilities [N, labels] (or scores, with
    `activation`; or one probability [N, 1] of the second of two labels), or of values [N, 1] or [N]. A label
    output, ZipMap and every node that leads nowhere are left out. `matrix` [n, width] are rows it is tried on.

    Raises:
        UnsafeGraph: it uses other operators than ONNX's own, or data outside the file.
        PackageError: it does not fit the input model and the task; the message names the cure.
    """
    inspect_graph(model)
    try:
        whole = ModelProto.FromString(model)
    except DecodeError as error:
        raise PackageError("the file is no ONNX model") from error
    source = _find_input(whole, schema)
    result, order = _find_output(whole, task, output)
    labels = len(task.labels) if isinstance(task, Classification) else None
    writer = _Adapter(whole, source)
    tensor = writer.finish_output(PREFIX + result, task, activation, order, _width_of(whole, result))
    exported = Exported(model=b"", width=schema.width, labels=labels, estimator_kind="onnx")
    adapted = Exported(model=writer.build(tensor, exported), width=schema.width, labels=labels, estimator_kind="onnx")
    _try_out(adapted, matrix)
    return adapted


def _inputs(model: ModelProto) -> list[ValueInfoProto]:
    initialized = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initialized]


def _shape(value: ValueInfoProto) -> list[int | None] | None:
    if not value.type.tensor_type.HasField("shape"):
        return None
    return [size.dim_value if size.HasField("dim_value") else None for size in value.type.tensor_type.shape.dim]


def _find_input(model: ModelProto, schema: InputSchema) -> ValueInfoProto:
    inputs = _inputs(model)
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise PackageError(
            f"the graph has {len(inputs)} inputs ({names}), a package's has one",
            cure="Export the model with all columns in one float tensor [N, columns]",
        )
    (source,) = inputs
    kind, shape = source.type.tensor_type.elem_type, _shape(source)
    if kind not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise PackageError(
            f"the graph's input {source.name!r} is no tensor of float32 or float64", cure="Export it with float input"
        )
    if shape is not None and len(shape) != 2:
        raise PackageError(
            f"the graph's input {source.name!r} has shape {shape}, rows of columns are [N, {schema.width}]",
            cure="Export the model with a two-dimensional input",
        )
    if shape is not None and shape[0] is not None:
        raise PackageError(
            f"the graph's input {source.name!r} holds exactly {shape[0]} row(s)",
            cure="Export it with an open first dimension (PyTorch: dynamic_axes={'input': {0: 'batch'}})",
        )
    if shape is not None and shape[1] not in (None, schema.width):
        names = ", ".join(column.name for column in schema.columns)
        raise PackageError(
            f"the graph reads {shape[1]} columns, the input model has {schema.width}: {names}",
            cure="Declare one field per column, in the order the model was trained with",
        )
    return source


def _find_output(model: ModelProto, task: Task, wanted: str | None) -> tuple[str, list[int] | None]:
    """Return the tensor that answers the task, and the order that brings its columns into the labels' order."""
    maps = {node.output[0]: node for node in model.graph.node if node.op_type == "ZipMap"}
    candidates = {}
    for value in model.graph.output:
        if value.name in maps:
            candidates[value.name] = maps[value.name].input[0]
        elif value.type.tensor_type.elem_type in FLOATS:
            candidates[value.name] = value.name
    if wanted is not None and wanted not in candidates:
        raise PackageError(
            f"the graph has no output of floats called {wanted!r}", cure=f"Choose from {', '.join(candidates)}"
        )
    if wanted is None and len(candidates) != 1:
        found = ", ".join(value.name for value in model.graph.output)
        raise PackageError(
            f"the graph's outputs are {found}: {len(candidates)} of them could answer a {task.kind}",
            cure="Name the one to use (output=…)" if candidates else "Export it with float probabilities or values",
        )
    chosen = wanted if wanted is not None else next(iter(candidates))
    order = _label_order(model, task) if isinstance(task, Classification) else None
    return candidates[chosen], order


def _label_order(model: ModelProto, task: Classification) -> list[int] | None:
    """Return how to order the graph's columns by the class names its own nodes declare; None: as they are."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if not attribute.name.startswith("classlabels_"):
                continue
            values = helper.get_attribute_value(attribute)
            names = [value.decode() if isinstance(value, bytes) else str(value) for value in values]
            if len(names) != len(task.labels):
                continue
            if sorted(names) == sorted(task.labels):
                order = [names.index(label) for label in task.labels]
                return None if order == sorted(order) else order
            if names != [str(position) for position in range(len(names))]:
                raise PackageError(
                    f"the graph's classes are {', '.join(names)}, the task's labels {', '.join(task.labels)}",
                    cure="Name the task's labels as the model does",
                )
    return None


def _width_of(model: ModelProto, tensor: str) -> int | None:
    """Return the second dimension of an output; 1 for a one-dimensional one, None where it is not declared."""
    for value in (*model.graph.output, *model.graph.value_info):
        shape = _shape(value) if value.name == tensor else None
        if shape is not None:
            return 1 if len(shape) == 1 else shape[-1]
    return None


class _Adapter:
    """The graph under change: its nodes under prefixed names, with ours around them."""

    def __init__(self, model: ModelProto, source: ValueInfoProto) -> None:
        self._model = ModelProto()
        self._model.CopyFrom(model)
        graph = self._model.graph
        own = {name for node in graph.node for name in (*node.output, *captured_names(node)) if name}
        own |= {tensor.name for tensor in graph.initializer} | {source.name}
        names = {name: PREFIX + name for name in own}
        for node in graph.node:
            rename_tensors(node, names)
        for tensor in graph.initializer:
            tensor.name = names[tensor.name]
        kind = source.type.tensor_type.elem_type
        self._nodes = [helper.make_node("Cast", [COLUMNS], [names[source.name]], to=kind), *graph.node]
        if kind == TensorProto.FLOAT:
            self._nodes = list(graph.node)
            for node in self._nodes:
                rename_tensors(node, {names[source.name]: COLUMNS})
        self._added: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"rookery/{len(self._added)}"
        self._added.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def _constant(self, value: Any, dtype: Any) -> str:
        name = f"rookery/constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def finish_output(
        self, tensor: str, task: Task, activation: Activation | None, order: Sequence[int] | None, width: int | None
    ) -> str:
        """Write what brings the graph's own output into the task's shape; returns the last tensor."""
        tensor = self._add("Cast", tensor, to=TensorProto.FLOAT)
        if not isinstance(task, Classification):
            if width not in (1, None):
                raise PackageError(f"the graph answers {width} values a row, a regression has one")
            return self._add("Reshape", tensor, self._constant([-1], np.int64))
        labels = len(task.labels)
        single = width == 1 and labels == 2
        if activation == "sigmoid" and not single:
            raise PackageError(
                f"a sigmoid turns one score into two labels' probabilities, the graph has {width} scores "
                f"for {labels} labels",
                cure="Use activation='softmax'",
            )
        if width not in (labels, None) and not single:
            raise PackageError(
                f"the graph answers {width} probabilities, the task has {labels} labels: {', '.join(task.labels)}",
                cure="Name one label per class of the model, in its order",
            )
        if single:
            tensor = self._add("Reshape", tensor, self._constant([-1, 1], np.int64))
            tensor = self._add("Sigmoid", tensor) if activation == "sigmoid" else tensor
            other = self._add("Sub", self._constant(1.0, np.float32), tensor)
            return self._add("Concat", other, tensor, axis=1)
        if activation == "softmax":
            tensor = self._add("Softmax", tensor, axis=1)
        if order is not None:
            tensor = self._add("Gather", tensor, self._constant(list(order), np.int64), axis=1)
        return tensor

    def build(self, result: str, exported: Exported) -> bytes:
        """Return the finished model's bytes, with nothing in them that does not lead to the result."""
        nodes = needed_nodes([*self._nodes, *self._added], {result}, stop={COLUMNS})
        if not any(COLUMNS in captured_names(node) for node in nodes):
            raise PackageError("the graph's output does not depend on its input")
        for node in nodes:
            rename_tensors(node, {result: exported.output})
            node.doc_string = ""
        wanted = {name for node in nodes for name in captured_names(node)}
        tensors = [t for t in (*self._model.graph.initializer, *self._constants) if t.name in wanted]
        shape = list(exported.tensors.outputs[exported.output].shape)
        graph = helper.make_graph(
            nodes,
            GRAPH_NAME,
            [helper.make_tensor_value_info(COLUMNS, TensorProto.FLOAT, [None, exported.width])],
            [helper.make_tensor_value_info(exported.output, TensorProto.FLOAT, shape)],
            initializer=tensors,
        )
        opsets = {item.domain: item.version for item in self._model.opset_import}
        opsets.setdefault("", OPSET)
        return serialize(
            helper.make_model(
                graph,
                producer_name=GRAPH_NAME,
                ir_version=self._model.ir_version,
                opset_imports=[helper.make_opsetid(domain, opsets[domain]) for domain in sorted(opsets)],
                functions=list(self._model.functions),
            )
        )


def _try_out(exported: Exported, matrix: Matrix) -> None:
    """Run the finished graph on a batch and on a single row, and look at what it answers."""
    rows = matrix[:256]
    shape = (exported.labels,) if exported.labels is not None else ()
    try:
        runner = GraphRunner(exported.model)
        batch, single = runner.run(rows), runner.run(rows[:1])
    except Exception as error:  # onnxruntime's own exceptions share no base but Exception
        raise PackageError(
            f"the graph does not run on {len(rows)} rows and on one: {' '.join(str(error).split())[:300]}",
            cure="Export it with an open first dimension, and operators that ONNX Runtime knows",
        ) from error
    if batch.shape != (len(rows), *shape) or single.shape != (1, *shape):
        raise PackageError(
            f"the graph answers {list(batch.shape)} for {len(rows)} rows and {list(single.shape)} for one, "
            f"expected {[len(rows), *shape]} and {[1, *shape]}",
            cure="Export it with an open first dimension and one answer a row",
        )
    if not np.allclose(batch[:1], single, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise PackageError(
            "the graph answers a row alone otherwise than in a batch",
            cure="Export it in inference mode (PyTorch: model.eval())",
        )
    finite = batch[np.isfinite(batch.reshape(len(batch), -1)).all(axis=1)]
    if not len(finite):
        raise PackageError("the graph answers no row with finite numbers", cure="Check the columns' order and units")
    if exported.labels is not None:
        inside = (finite >= -SUM_TOLERANCE).all() and (np.abs(finite.sum(axis=1) - 1) <= SUM_TOLERANCE).all()
        if not inside:
            raise PackageError(
                f"the graph's output is no distribution over labels: a row of it is {finite[0].tolist()}",
                cure="Say what makes probabilities of it: activation='softmax' or 'sigmoid'",
            )

"""Judging an ONNX graph before it is run: only known operators, no data from outside, the declared shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from rookery.errors import UnsafeGraph
from rookery.package.manifest import Manifest, TensorSpec
from rookery.package.onnx_proto import DTYPES, model_class

ALLOWED_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Operators that ONNX itself specifies; none of them reads a file or runs foreign code."""

PICTURE_DTYPES = ("float32", "uint8")
"""What an input may be: rows of numbers, or the pixels of pictures."""

_OTHER_FORMAT = b"ORTM"
"""At offset 4 it marks ONNX Runtime's own format, which a file can be besides being ONNX."""


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """An input or output as the graph declares it."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    """None where the graph declares none; an open dimension is None."""


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What a graph is, found without running it."""

    inputs: tuple[GraphTensor, ...]
    """What a caller must feed: inputs with a default (an initializer of the same name) are left out."""
    outputs: tuple[GraphTensor, ...]
    operators: tuple[str, ...]
    """Every operator used at any depth, sorted; beyond the first domain as `domain.Operator`."""
    opsets: tuple[tuple[str, int], ...]
    """The operator sets imported, as (domain, version)."""
    size: int
    """Bytes of the model."""


def inspect_graph(model_bytes: bytes) -> GraphFacts:
    """Read a model's facts and refuse what no package may hold.

    Raises:
        UnsafeGraph: the bytes are no ONNX model, use an operator outside ONNX's own domains, or take data from outside.
    """
    model = _parse(model_bytes)
    operators = _walk(model)
    initialized = {tensor.name for tensor in model.graph.initializer}
    initialized |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    return GraphFacts(
        inputs=tuple(_describe(value) for value in model.graph.input if value.name not in initialized),
        outputs=tuple(_describe(value) for value in model.graph.output),
        operators=tuple(sorted(operators)),
        opsets=tuple(sorted((_text(opset.domain), int(opset.version)) for opset in model.opset_import)),
        size=len(model_bytes),
    )


def check_graph(model_bytes: bytes, manifest: Manifest) -> GraphFacts:
    """Return a model's facts if it is safe and fits its manifest's tensors.

    Raises:
        UnsafeGraph: it is not safe (see `inspect_graph`), or declares other inputs, outputs, types or shapes.
    """
    facts = inspect_graph(model_bytes)
    if manifest.tensors is None:
        raise UnsafeGraph("model.onnx: the manifest declares no tensors")
    given = [tensor.name for tensor in facts.inputs]
    if given != [manifest.tensors.input.name]:
        raise UnsafeGraph(f"model.onnx: the graph's inputs are {given}, declared is {manifest.tensors.input.name!r}")
    _check_fit("input", facts.inputs[0], manifest.tensors.input)
    outputs = {tensor.name: tensor for tensor in facts.outputs}
    for role, spec in manifest.tensors.outputs.items():
        if spec.name not in outputs:
            raise UnsafeGraph(f"model.onnx: the graph has no output {spec.name!r} ({role}), only {sorted(outputs)}")
        _check_fit(f"output {role!r}", outputs[spec.name], spec)
    return facts


def _check_fit(what: str, actual: GraphTensor, declared: TensorSpec) -> None:
    allowed = PICTURE_DTYPES if what == "input" else ("float32",)
    if actual.dtype != declared.dtype or declared.dtype not in allowed:
        raise UnsafeGraph(f"model.onnx: {what} {actual.name!r} is {actual.dtype}, declared is {declared.dtype}")
    if actual.shape != declared.shape:
        raise UnsafeGraph(
            f"model.onnx: {what} {actual.name!r} has shape {_shape(actual.shape)}, declared is {_shape(declared.shape)}"
        )


def _shape(shape: tuple[int | None, ...] | None) -> str:
    if shape is None:
        return "unknown"
    return "[" + ", ".join("N" if length is None else str(length) for length in shape) + "]"


def _parse(model_bytes: bytes) -> Any:
    if model_bytes[4:8] == _OTHER_FORMAT:
        raise UnsafeGraph("model.onnx: is in ONNX Runtime's own format", cure="Save the model as ONNX")
    try:
        model = model_class().FromString(model_bytes)
    except (DecodeError, RecursionError, ValueError) as error:
        raise UnsafeGraph(f"model.onnx: is no ONNX model: {error}", cure="Is it cut short or damaged?") from error
    if not model.HasField("graph"):
        raise UnsafeGraph("model.onnx: is no ONNX model: it holds no graph")
    return model


def _walk(model: Any) -> set[str]:
    """Visit every node and tensor at any depth; return the operators. Iterative: depth costs no stack."""
    operators: set[str] = set()
    _check_opsets(model.opset_import)
    graphs: list[Any] = [model.graph]
    for training in model.training_info:
        graphs += [training.initialization, training.algorithm]
    for function in model.functions:
        _check_domain(function.domain, f"function {_text(function.name)!r}")
        _check_opsets(function.opset_import)
        for node in function.node:
            operators.add(_check_node(node))
            graphs += _check_attributes(node.attribute)
        graphs += _check_attributes(function.attribute_proto)
    while graphs:
        graph = graphs.pop()
        _check_tensors(graph.initializer)
        _check_sparse(graph.sparse_initializer)
        for node in graph.node:
            operators.add(_check_node(node))
            graphs += _check_attributes(node.attribute)
    return operators


def _check_node(node: Any) -> str:
    operator, domain = _text(node.op_type), _text(node.domain)
    _check_domain(node.domain, f"operator {operator!r}")
    return f"{domain}.{operator}" if domain else operator


def _check_opsets(opsets: Iterable[Any]) -> None:
    for opset in opsets:
        _check_domain(opset.domain, "an imported operator set")


def _check_domain(domain: bytes, what: str) -> None:
    if _text(domain) not in ALLOWED_DOMAINS:
        raise UnsafeGraph(
            f"model.onnx: {what} is of the domain {_text(domain)!r:.100}",
            cure="Only ONNX's own operators are run: ai.onnx and ai.onnx.ml",
        )


def _check_attributes(attributes: Iterable[Any]) -> list[Any]:
    """Check the tensors of attributes and return their subgraphs."""
    graphs: list[Any] = []
    for attribute in attributes:
        if attribute.HasField("t"):
            _check_tensors([attribute.t])
        if attribute.HasField("sparse_tensor"):
            _check_sparse([attribute.sparse_tensor])
        if attribute.HasField("g"):
            graphs.append(attribute.g)
        _check_tensors(attribute.tensors)
        _check_sparse(attribute.sparse_tensors)
        graphs += attribute.graphs
    return graphs


def _check_sparse(tensors: Iterable[Any]) -> None:
    for tensor in tensors:
        _check_tensors([tensor.values, tensor.indices])


def _check_tensors(tensors: Iterable[Any]) -> None:
    for tensor in tensors:
        if tensor.external_data or tensor.data_location:
            raise UnsafeGraph(
                f"model.onnx: tensor {_text(tensor.name)!r:.100} takes its data from outside the file",
                cure="Save the model with all its data inside",
            )


def _describe(value: Any) -> GraphTensor:
    if not value.type.HasField("tensor_type"):
        return GraphTensor(_text(value.name), "no tensor", None)
    tensor = value.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(int(dim.dim_value) if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return GraphTensor(_text(value.name), DTYPES.get(tensor.elem_type, f"type {tensor.elem_type}"), shape)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")

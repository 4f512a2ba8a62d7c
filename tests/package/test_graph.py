"""Graphs that a server may run, and those it may not, whatever corner they hide the danger in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from rookery.errors import UnsafeGraph
from rookery.package.graph import check_graph, inspect_graph
from rookery.package.manifest import Tensors, TensorSpec
from rookery.package.onnx_proto import _MESSAGES, DTYPES
from tests.package.builders import OPSETS, WIDTH, classifier, make_manifest, model_of, regressor, tensor, tensors_of


def external(name: str = "weights", location: str = "../../secret.bin") -> onnx.TensorProto:
    """A tensor whose data lies in another file."""
    found = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[WIDTH, 3], data_location=TensorProto.EXTERNAL)
    found.external_data.add(key="location", value=location)
    return found


def sparse(*, of: str) -> onnx.SparseTensorProto:
    """A sparse tensor with its `values` or its `indices` outside the file."""
    values, indices = tensor("v", [1.0]), onnx.numpy_helper.from_array(np.asarray([0], dtype=np.int64), "i")
    if of == "values":
        values = external("v")
    else:
        indices = external("i")
    return onnx.SparseTensorProto(values=values, indices=indices, dims=[WIDTH, 3])


def subgraph(*nodes: onnx.NodeProto, initializers: tuple[onnx.TensorProto, ...] = ()) -> onnx.GraphProto:
    out = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), "inner", [], [out], list(initializers))


def with_branches(branch: onnx.GraphProto) -> onnx.ModelProto:
    """A model whose output is chosen by an If; both branches are `branch`."""
    condition = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    node = helper.make_node("If", ["true"], ["probabilities"], then_branch=branch, else_branch=branch)
    return model_of([node], output="probabilities", output_shape=["N", 3], initializers=[condition])


def with_node(node: onnx.NodeProto) -> onnx.ModelProto:
    return model_of([node], output="probabilities", output_shape=["N", 3])


def custom_in_if() -> onnx.ModelProto:
    return with_branches(subgraph(helper.make_node("Shell", ["columns"], ["inner"], domain="com.example")))


def custom_in_nested_if() -> onnx.ModelProto:
    deep = subgraph(helper.make_node("Shell", ["columns"], ["inner"], domain="com.example"))
    return with_branches(subgraph(helper.make_node("If", ["true"], ["inner"], then_branch=deep, else_branch=deep)))


def custom_operator() -> onnx.ModelProto:
    return with_node(helper.make_node("Shell", ["columns"], ["probabilities"], domain="com.microsoft"))


def domain_in_capitals() -> onnx.ModelProto:
    return with_node(helper.make_node("Relu", ["columns"], ["probabilities"], domain="AI.ONNX"))


def custom_opset() -> onnx.ModelProto:
    model = classifier()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def local_function(*nodes: onnx.NodeProto, domain: str, opsets: list[Any] = OPSETS) -> onnx.ModelProto:
    model = classifier()
    model.functions.append(helper.make_function(domain, "Helper", ["x"], ["y"], list(nodes), opsets))
    return model


def custom_function() -> onnx.ModelProto:
    return local_function(helper.make_node("Relu", ["x"], ["y"]), domain="com.example")


def custom_operator_in_function() -> onnx.ModelProto:
    return local_function(helper.make_node("Shell", ["x"], ["y"], domain="com.example"), domain="ai.onnx")


def custom_opset_of_function() -> onnx.ModelProto:
    opsets = [*OPSETS, helper.make_opsetid("com.example", 1)]
    return local_function(helper.make_node("Relu", ["x"], ["y"]), domain="ai.onnx", opsets=opsets)


def external_in_function_default() -> onnx.ModelProto:
    model = local_function(helper.make_node("Relu", ["x"], ["y"]), domain="ai.onnx")
    model.functions[0].attribute_proto.append(helper.make_attribute("value", external()))
    return model


def external_in_function_node() -> onnx.ModelProto:
    return local_function(helper.make_node("Constant", [], ["y"], value=external()), domain="ai.onnx")


def custom_in_training_graph() -> onnx.ModelProto:
    model = classifier()
    graph = subgraph(helper.make_node("Shell", [], ["inner"], domain="com.example"))
    model.training_info.append(onnx.TrainingInfoProto(algorithm=graph))
    return model


def external_initializer() -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["columns", "weights"], ["probabilities"])
    return model_of([node], output="probabilities", output_shape=["N", 3], initializers=[external()])


def external_in_memory() -> onnx.ModelProto:
    """ONNX Runtime reads this location as an address in its own memory."""
    node = helper.make_node("MatMul", ["columns", "weights"], ["probabilities"])
    initializer = external(location="*/_ORT_MEM_ADDR_/*")
    return model_of([node], output="probabilities", output_shape=["N", 3], initializers=[initializer])


def external_entries_alone() -> onnx.ModelProto:
    model = external_initializer()
    model.graph.initializer[0].ClearField("data_location")
    return model


def external_location_alone() -> onnx.ModelProto:
    model = external_initializer()
    model.graph.initializer[0].ClearField("external_data")
    return model


def external_in_attribute() -> onnx.ModelProto:
    return with_node(helper.make_node("Constant", [], ["probabilities"], value=external()))


def external_in_attribute_list() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["probabilities"])
    node.attribute.add(name="values", type=onnx.AttributeProto.TENSORS, tensors=[external()])
    return with_node(node)


def external_in_sparse_attribute() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["probabilities"])
    node.attribute.add(name="v", type=onnx.AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse(of="values"))
    return with_node(node)


def external_in_sparse_attribute_list() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["probabilities"])
    node.attribute.add(name="v", type=onnx.AttributeProto.SPARSE_TENSORS, sparse_tensors=[sparse(of="indices")])
    return with_node(node)


def external_in_sparse_values() -> onnx.ModelProto:
    model = classifier()
    model.graph.sparse_initializer.append(sparse(of="values"))
    return model


def external_in_sparse_indices() -> onnx.ModelProto:
    model = classifier()
    model.graph.sparse_initializer.append(sparse(of="indices"))
    return model


def external_in_subgraph() -> onnx.ModelProto:
    return with_branches(subgraph(helper.make_node("Identity", ["weights"], ["inner"]), initializers=(external(),)))


def external_in_graph_list() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["probabilities"])
    graph = subgraph(helper.make_node("Identity", ["weights"], ["inner"]), initializers=(external(),))
    node.attribute.add(name="graphs", type=onnx.AttributeProto.GRAPHS, graphs=[graph])
    return with_node(node)


FOREIGN_OPERATORS = [
    custom_operator,
    custom_in_if,
    custom_in_nested_if,
    custom_opset,
    custom_function,
    custom_operator_in_function,
    custom_opset_of_function,
    custom_in_training_graph,
    domain_in_capitals,
]
EXTERNAL_DATA = [
    external_initializer,
    external_in_memory,
    external_entries_alone,
    external_location_alone,
    external_in_attribute,
    external_in_attribute_list,
    external_in_sparse_attribute,
    external_in_sparse_attribute_list,
    external_in_sparse_values,
    external_in_sparse_indices,
    external_in_subgraph,
    external_in_graph_list,
    external_in_function_default,
    external_in_function_node,
]


@pytest.mark.parametrize("make", FOREIGN_OPERATORS)
def test_operators_of_foreign_domains_are_refused_wherever_they_hide(make: Callable[[], onnx.ModelProto]) -> None:
    with pytest.raises(UnsafeGraph, match=r"model\.onnx: .* of the domain '(com\.(example|microsoft)|AI\.ONNX)'"):
        inspect_graph(make().SerializeToString())


@pytest.mark.parametrize("make", EXTERNAL_DATA)
def test_data_from_outside_the_file_is_refused_wherever_it_hides(make: Callable[[], onnx.ModelProto]) -> None:
    with pytest.raises(UnsafeGraph, match=r"model\.onnx: tensor '[a-z]+' takes its data from outside the file"):
        inspect_graph(make().SerializeToString())


def test_a_good_graph_is_described_with_its_operators_tensors_and_opsets() -> None:
    data = classifier().SerializeToString()
    facts = inspect_graph(data)
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in facts.inputs] == [("columns", "float32", (None, 4))]
    assert [(tensor.name, tensor.shape) for tensor in facts.outputs] == [("probabilities", (None, 3))]
    assert facts.operators == ("Div", "MatMul", "Softmax", "Sub")
    assert facts.opsets == (("", 18),)
    assert facts.size == len(data)


def test_an_input_with_a_default_is_not_counted_as_an_input() -> None:
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, [WIDTH, 3]))
    assert [tensor.name for tensor in inspect_graph(model.SerializeToString()).inputs] == ["columns"]


def test_safe_subgraphs_and_functions_pass() -> None:
    model = with_branches(subgraph(helper.make_node("Identity", ["columns"], ["inner"])))
    model.functions.append(
        helper.make_function("ai.onnx", "Helper", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], OPSETS)
    )
    assert inspect_graph(model.SerializeToString()).operators == ("Identity", "If", "Relu")


def every_field(message: str, descriptor: Any, seen: dict[str, Any]) -> dict[str, Any]:
    """Pair our messages with ONNX's own descriptors, following fields of the same number."""
    seen[message] = descriptor
    for _, number, _, kind in _MESSAGES[message]:
        if kind in _MESSAGES and kind not in seen:
            every_field(kind, descriptor.fields_by_number[number].message_type, seen)
    return seen


def test_our_messages_agree_with_onnx_and_miss_no_way_to_a_node_or_tensor() -> None:
    """Every field of ONNX that leads to a message we know is declared, under its number and its plurality."""
    pairs = every_field("Model", onnx.ModelProto.DESCRIPTOR, {})
    assert set(pairs) == set(_MESSAGES)
    dangerous = {
        pairs[name].full_name: name for name in pairs if name not in {"Entry", "ValueInfo", "Type", "OperatorSet"}
    }
    for name, descriptor in pairs.items():
        declared = {number: (field, label, kind) for field, number, label, kind in _MESSAGES[name]}
        for number, (field, label, _) in declared.items():
            assert descriptor.fields_by_number[number].name == field
            assert descriptor.fields_by_number[number].is_repeated == (label == 3)
        for field in descriptor.fields:
            if field.message_type is not None and field.message_type.full_name in dangerous:
                assert field.number in declared, f"{name}.{field.name} leads to a {field.message_type.name}"


def test_our_names_of_element_types_are_those_of_onnx() -> None:
    names = {"float32": "FLOAT", "float64": "DOUBLE"}
    assert {number: names.get(name, name.upper()) for number, name in DTYPES.items()} == {
        number: TensorProto.DataType.Name(number) for number in DTYPES
    }


@pytest.mark.parametrize("cut", [1, 10, 100, 300])
def test_a_truncated_model_is_refused(cut: int) -> None:
    with pytest.raises(UnsafeGraph, match=r"model\.onnx: is no ONNX model"):
        inspect_graph(classifier().SerializeToString()[:-cut])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused_and_never_crash(data: bytes) -> None:
    with pytest.raises(UnsafeGraph):
        check_graph(data, make_manifest())


@settings(max_examples=300, deadline=None)
@given(position=st.integers(min_value=0, max_value=10_000), value=st.integers(min_value=0, max_value=255))
def test_any_altered_byte_gives_facts_or_a_refusal(position: int, value: int) -> None:
    """Whatever one byte becomes, the check ends with facts or UnsafeGraph, never with another exception."""
    data = bytearray(classifier().SerializeToString())
    data[position % len(data)] = value
    try:
        facts = inspect_graph(bytes(data))
    except UnsafeGraph:
        return
    assert facts.size == len(data)


def test_nesting_without_end_is_refused() -> None:
    """10,000 graphs within each other stop the parser, not the process."""
    payload = b""
    for _ in range(10_000):
        attribute = b"\x32" + _length(payload) + payload
        node = b"\x2a" + _length(attribute) + attribute
        payload = b"\x0a" + _length(node) + node
    with pytest.raises(UnsafeGraph, match="no ONNX model"):
        inspect_graph(b"\x3a" + _length(payload) + payload)


def _length(data: bytes) -> bytes:
    number, out = len(data), bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def test_a_file_that_is_also_in_onnx_runtimes_own_format_is_refused() -> None:
    """ONNX Runtime would look at the mark first, and read another graph than the one that was checked."""
    data = classifier().SerializeToString()
    unknown_field = b"\xfa\x07\x06_%s_"
    assert inspect_graph(unknown_field % b"SAFE" + data).operators
    with pytest.raises(UnsafeGraph, match="ONNX Runtime's own format"):
        inspect_graph(unknown_field % b"ORTM" + data)


def test_no_graph_at_all_is_refused() -> None:
    with pytest.raises(UnsafeGraph, match="holds no graph"):
        inspect_graph(b"")


def test_a_graph_that_fits_its_manifest_passes() -> None:
    assert check_graph(classifier().SerializeToString(), make_manifest()).operators[-1] == "Sub"


def two_inputs() -> onnx.ModelProto:
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N", 1]))
    return model


def other_dtype() -> onnx.ModelProto:
    model = classifier()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return model


def without_shape() -> onnx.ModelProto:
    model = classifier()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def no_tensor() -> onnx.ModelProto:
    model = classifier()
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    model.graph.output[0].type.CopyFrom(sequence)
    return model


def narrower() -> onnx.ModelProto:
    model = classifier()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = WIDTH - 1
    return model


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (two_inputs, r"inputs are \['columns', 'more'\]"),
        (other_dtype, "input 'columns' is float64, declared is float32"),
        (narrower, r"input 'columns' has shape \[N, 3\], declared is \[N, 4\]"),
        (without_shape, r"has shape unknown, declared is \[N, 3\]"),
        (no_tensor, "is no tensor, declared is float32"),
        (lambda: classifier(labels=2), r"has shape \[N, 2\], declared is \[N, 3\]"),
        (regressor, "has no output 'probabilities'"),
    ],
)
def test_a_graph_of_another_shape_than_its_manifest_is_refused(
    make: Callable[[], onnx.ModelProto], reason: str
) -> None:
    with pytest.raises(UnsafeGraph, match=rf"model\.onnx: .*{reason}"):
        check_graph(make().SerializeToString(), make_manifest())


def test_a_manifest_cannot_declare_another_type_than_float32() -> None:
    declared = tensors_of("probabilities", (None, 3))
    wide = Tensors(input=TensorSpec(name="columns", dtype="float64", shape=(None, WIDTH)), outputs=declared.outputs)
    with pytest.raises(UnsafeGraph, match="is float64"):
        check_graph(other_dtype().SerializeToString(), make_manifest(tensors=wide))


def test_the_check_loads_neither_the_onnx_library_nor_onnx_runtime() -> None:
    code = (
        "import sys, rookery.package.graph as graph\n"
        "graph.inspect_graph(sys.stdin.buffer.read())\n"
        "print(sorted(name for name in ('onnx', 'onnxruntime', 'pandas', 'sklearn') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=classifier().SerializeToString(), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "[]"

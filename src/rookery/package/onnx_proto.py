"""The part of the ONNX format that safety is judged by, as protobuf messages.

A server may not pay for the `onnx` library, so the few fields that can hold operators, tensors or shapes are
described here (field numbers from onnx.proto, IR version 13) in a descriptor pool of their own. Every way by which
a node or a tensor can be reached is among them; all other fields are skipped by the parser. Texts are declared as
bytes: the wire format is the same, and a text that is no UTF-8 cannot make the parser fail in a different way
than ONNX Runtime's.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_ONE, _MANY = 1, 3
_PACKAGE = "rookery.onnx"

_SCALARS = {"int64": 3, "int32": 5, "bytes": 12}
"""Protobuf's numbers of scalar types; an enumeration reads as int32, so that unknown values stay visible."""

_MESSAGES: dict[str, tuple[tuple[str, int, int, str], ...]] = {
    "Model": (
        ("opset_import", 8, _MANY, "OperatorSet"),
        ("graph", 7, _ONE, "Graph"),
        ("training_info", 20, _MANY, "TrainingInfo"),
        ("functions", 25, _MANY, "Function"),
    ),
    "OperatorSet": (("domain", 1, _ONE, "bytes"), ("version", 2, _ONE, "int64")),
    "TrainingInfo": (("initialization", 1, _ONE, "Graph"), ("algorithm", 2, _ONE, "Graph")),
    "Function": (
        ("name", 1, _ONE, "bytes"),
        ("node", 7, _MANY, "Node"),
        ("opset_import", 9, _MANY, "OperatorSet"),
        ("domain", 10, _ONE, "bytes"),
        ("attribute_proto", 11, _MANY, "Attribute"),
    ),
    "Graph": (
        ("node", 1, _MANY, "Node"),
        ("initializer", 5, _MANY, "Tensor"),
        ("input", 11, _MANY, "ValueInfo"),
        ("output", 12, _MANY, "ValueInfo"),
        ("sparse_initializer", 15, _MANY, "SparseTensor"),
    ),
    "Node": (
        ("name", 3, _ONE, "bytes"),
        ("op_type", 4, _ONE, "bytes"),
        ("attribute", 5, _MANY, "Attribute"),
        ("domain", 7, _ONE, "bytes"),
    ),
    "Attribute": (
        ("t", 5, _ONE, "Tensor"),
        ("g", 6, _ONE, "Graph"),
        ("tensors", 10, _MANY, "Tensor"),
        ("graphs", 11, _MANY, "Graph"),
        ("sparse_tensor", 22, _ONE, "SparseTensor"),
        ("sparse_tensors", 23, _MANY, "SparseTensor"),
    ),
    "SparseTensor": (("values", 1, _ONE, "Tensor"), ("indices", 2, _ONE, "Tensor")),
    "Tensor": (
        ("name", 8, _ONE, "bytes"),
        ("external_data", 13, _MANY, "Entry"),
        ("data_location", 14, _ONE, "int32"),
    ),
    "Entry": (("key", 1, _ONE, "bytes"), ("value", 2, _ONE, "bytes")),
    "ValueInfo": (("name", 1, _ONE, "bytes"), ("type", 2, _ONE, "Type")),
    "Type": (("tensor_type", 1, _ONE, "TensorType"),),
    "TensorType": (("elem_type", 1, _ONE, "int32"), ("shape", 2, _ONE, "Shape")),
    "Shape": (("dim", 1, _MANY, "Dimension"),),
    "Dimension": (("dim_value", 1, _ONE, "int64"), ("dim_param", 2, _ONE, "bytes")),
}
"""Messages by name: their fields' names, numbers, how often each occurs, and of what type."""

DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}
"""Names of `TensorProto.DataType`."""


@functools.cache
def model_class() -> type[Any]:
    """Return the message class that reads a model's bytes."""
    file = descriptor_pb2.FileDescriptorProto(name="rookery/onnx.proto", package=_PACKAGE, syntax="proto2")
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, number, label, kind in fields:
            field = message.field.add(name=name, number=number, label=label)
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type, field.type_name = 11, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Model"))
    return found

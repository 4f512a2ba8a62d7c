"""Small, real packages: a softmax over two columns, twenty golden cases, made in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from pydantic import BaseModel, Field

from rookery.fields.encoder import Encoder
from rookery.fields.schema import read_input_model
from rookery.package.golden import GoldenCase
from rookery.package.manifest import (
    ClassificationTask,
    DatasetFacts,
    InputSpec,
    Manifest,
    Provenance,
    Tensors,
    TensorSpec,
)
from rookery.package.profile import make_profile
from rookery.package.session import OnnxSession
from rookery.package.writer import write_package

LABELS = ("low", "high")
SCORES: Mapping[str, Any] = {"scores": {"accuracy": 0.97, "f1_macro": 0.96}, "rows": 24}


class Flower(BaseModel):
    """What is known of a flower."""

    length: float = Field(ge=0, le=10)
    width: float = Field(ge=0, le=10)


def small_graph(shift: float) -> bytes:
    """Return a graph that answers softmax(x·W + shift)."""
    weights = numpy_helper.from_array(np.array([[1, -1], [-0.5, 0.5]], np.float32), "W")
    bias = numpy_helper.from_array(np.array([shift, -shift], np.float32), "B")
    nodes = [
        helper.make_node("Gemm", ["columns", "W", "B"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "flowers",
        [helper.make_tensor_value_info("columns", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])],
        [weights, bias],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_small_package(
    directory: Path,
    *,
    service: str,
    shift: float = 0.0,
    candidate: str = "linear",
    synthetic: bool = False,
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """Write a package whose content depends on `shift` alone and whose manifest also holds the rest and the time."""
    schema = read_input_model(Flower)
    tensors = Tensors(
        input=TensorSpec(name="columns", shape=(None, 2)),
        outputs={"probabilities": TensorSpec(name="probabilities", shape=(None, 2))},
    )
    model = small_graph(shift)
    inputs: list[dict[str, Any]] = [{"length": i / 4, "width": (24 - i) / 4} for i in range(24)]
    matrix = Encoder(schema).encode_rows([schema.model(**values) for values in inputs])
    answers = OnnxSession(model, tensors).run(matrix)
    manifest = Manifest(
        service=service,
        model_name=f"{service}-{candidate}",
        candidate=candidate,
        task=ClassificationTask(labels=LABELS),
        input=InputSpec(json_schema=schema.json_schema(), columns=schema.columns),
        tensors=tensors,
        provenance=Provenance(
            created_at=datetime.now(UTC).isoformat(),
            dataset=DatasetFacts(digest="0" * 64, rows=len(inputs), synthetic=synthetic),
        ),
    )
    write_package(
        directory,
        manifest=manifest,
        model=model,
        profile=make_profile(schema.columns, matrix, answers, manifest.require_task()),
        golden=[
            GoldenCase(input=values, expected=tuple(map(float, answer)), tolerance=1e-5)
            for values, answer in zip(inputs, answers, strict=True)
        ],
        metrics=SCORES if metrics is None else metrics,
        card=f"# {service}\n",
    )
    return directory

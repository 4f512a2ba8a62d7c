"""Small real packages whose answers can be told by heart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import BaseModel, Field

from rookery.errors import RequestError
from rookery.fields.encoder import Encoder
from rookery.fields.expression import Rule, col
from rookery.package.golden import GoldenCase
from rookery.package.manifest import InputSpec, Manifest, Provenance, Tensors, TensorSpec
from rookery.package.opener import Package, open_package
from rookery.package.profile import make_profile
from rookery.package.session import OnnxSession
from rookery.package.writer import write_package
from rookery.pipeline.call import Call
from rookery.pipeline.endpoint import Endpoint, LoadedVersion
from rookery.pipeline.pipeline import Pipeline
from rookery.service.contract import contract_of
from rookery.service.definition import Service
from rookery.service.task import Regression
from rookery.telemetry.accumulator import WorkerMetrics


class Parcel(BaseModel):
    """A parcel, whose price is its weight times two, plus ten for express; -1 kg makes the model answer NaN."""

    weight_kg: float = Field(ge=-1, le=100, json_schema_extra={"unit": "kg"}, examples=[2.5])
    length_cm: float = Field(ge=0, le=200, examples=[30.0])
    speed: Literal["normal", "express"] = Field(examples=["normal"])


SERVICE = Service(
    name="parcels",
    input=Parcel,
    task=Regression("EUR"),
    rules=[Rule(col("weight_kg") <= col("length_cm"), "a parcel is never heavier in kg than it is long in cm")],
)


def price_graph(factor: float = 2.0) -> bytes:
    """Return the graph value = factor × weight + 10 × express + 0 × sqrt(weight)."""
    weights = np.array([[factor], [0.0], [10.0]], dtype=np.float32)
    pick = np.array([[1.0], [0.0], [0.0]], dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["columns", "weights"], ["price"]),
        helper.make_node("MatMul", ["columns", "pick"], ["weight"]),
        helper.make_node("Sqrt", ["weight"], ["root"]),
        helper.make_node("Mul", ["root", "zero"], ["nothing"]),
        helper.make_node("Add", ["price", "nothing"], ["sum"]),
        helper.make_node("Reshape", ["sum", "flat"], ["value"]),
    ]
    graph = helper.make_graph(
        nodes,
        "price",
        [helper.make_tensor_value_info("columns", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["N"])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(pick, "pick"),
            numpy_helper.from_array(np.array([0.0], dtype=np.float32), "zero"),
            numpy_helper.from_array(np.array([-1], dtype=np.int64), "flat"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def build_package(directory: Path, *, factor: float = 2.0) -> Package:
    """Write and open a parcels package."""
    schema, model = SERVICE.schema, price_graph(factor)
    tensors = Tensors(
        input=TensorSpec(name="columns", shape=(None, 3)),
        outputs={"value": TensorSpec(name="value", shape=(None,))},
    )
    rows = [{"weight_kg": float(n), "length_cm": 100.0, "speed": ["normal", "express"][n % 2]} for n in range(1, 41)]
    encoder = Encoder(schema)
    matrix = encoder.encode_columns({name: [row[name] for row in rows] for name in rows[0]})
    outputs = OnnxSession(model, tensors).run(matrix)
    golden = [
        GoldenCase(input=row, expected=(float(value),), tolerance=1e-4)
        for row, value in zip(rows, outputs, strict=True)
    ]
    manifest = Manifest(
        service="parcels",
        model_name="parcels-linear",
        task={"kind": "regression", "unit": "EUR"},  # type: ignore[arg-type]
        input=InputSpec(json_schema=schema.json_schema(), columns=schema.columns, rules=tuple(SERVICE.rules)),
        tensors=tensors,
        provenance=Provenance(created_at="2026-01-01T00:00:00Z"),
    )
    profile = make_profile(schema.columns, matrix, outputs, SERVICE.require_task())
    write_package(directory, manifest=manifest, model=model, profile=profile, golden=golden, metrics={}, card="# card")
    return open_package(directory)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Version 1: two EUR a kg."""
    return build_package(tmp_path_factory.mktemp("packages") / "one")


@pytest.fixture(scope="session")
def dearer_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Version 2: three EUR a kg."""
    return build_package(tmp_path_factory.mktemp("packages") / "two", factor=3.0)


def encode_plainly(error: RequestError) -> tuple[int, bytes]:
    """Encode an error as its class's name; the pipeline needs no more."""
    return 400, type(error).__name__.encode()


class Bench:
    """An endpoint with its pipeline, and short ways to put calls through it."""

    def __init__(self, *packages: Package, service: Service = SERVICE, weights: dict[str, int] | None = None) -> None:
        self.metrics = WorkerMetrics("test")
        self.endpoint = Endpoint(contract_of(service))
        versions = {
            str(number): LoadedVersion(package, str(number), series=self.metrics.series(service.name, str(number)))
            for number, package in enumerate(packages, start=1)
        }
        if versions:
            self.endpoint.install(versions, champion="1", weights=weights or {"1": 100}, aliases={"champion": "1"})
        self.pipeline = Pipeline(self.endpoint, encode_plainly, self.metrics)

    def run(self, *bodies: Any, received: float | None = None) -> list[Call]:
        """Answer single calls (bytes) and batch calls (given as `("batch", bytes)`) in one pass."""
        calls = [make_call(body, received) for body in bodies]
        self.pipeline.run(calls)
        return calls


def make_call(body: Any, received: float | None = None) -> Call:
    """Return a call that was complete just now, or at `received` on the clock of `time.perf_counter`."""
    import time

    kind, data = body if isinstance(body, tuple) else ("single", body)
    return Call(kind, data, time.perf_counter() if received is None else received)


@pytest.fixture
def bench(package: Package) -> Bench:
    """A pipeline with one version loaded."""
    return Bench(package)


Maker = Callable[..., Bench]

"""Small real graphs and packages, and ways to damage them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from rookery.fields.columns import Column
from rookery.fields.encoder import Encoder
from rookery.fields.expression import Rule, col, log
from rookery.fields.pictures.spec import Image
from rookery.fields.schema import rebuild_schema
from rookery.package.digests import sha256_hex
from rookery.package.golden import GoldenCase, write_golden
from rookery.package.manifest import (
    ClassificationTask,
    DatasetFacts,
    DerivedFeature,
    InputSpec,
    Manifest,
    PictureSpec,
    Provenance,
    RegressionTask,
    Tensors,
    TensorSpec,
)
from rookery.package.profile import Profile, make_profile
from rookery.package.session import OnnxSession
from rookery.package.writer import write_package

Matrix = npt.NDArray[np.float32]

LABELS = ("Adelie", "Chinstrap", "Gentoo")
COLUMNS = (
    Column(name="mass_g", field="mass_g", kind="number", minimum=1000.0, maximum=9000.0, unit="g", example=3750.0),
    Column(name="year", field="year", kind="integer", minimum=2000.0, maximum=2030.0),
    Column(name="island", field="island", kind="category", categories=("Biscoe", "Dream", "Torgersen")),
    Column(name="wild", field="wild", kind="boolean"),
)
WIDTH = len(COLUMNS)
OPSETS = [helper.make_opsetid("", 18)]


def tensor(name: str, values: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype=np.float32), name)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    *,
    output: str,
    output_shape: Sequence[int | str],
    initializers: Sequence[onnx.TensorProto] = (),
    width: int = WIDTH,
    opsets: Sequence[onnx.OperatorSetIdProto] = OPSETS,
    **more: Any,
) -> onnx.ModelProto:
    """Make a model with the input `columns` [N, width] and one float32 output."""
    graph = helper.make_graph(
        list(nodes),
        "rookery",
        [helper.make_tensor_value_info("columns", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, list(output_shape))],
        list(initializers),
        **more,
    )
    return helper.make_model(graph, opset_imports=list(opsets), ir_version=9)


def classifier(*, labels: int = 3, scale: float = 1.0) -> onnx.ModelProto:
    """A softmax over a linear map of standardised columns."""
    weights = np.random.default_rng(1).normal(size=(WIDTH, labels)) * scale
    nodes = [
        helper.make_node("Sub", ["columns", "centre"], ["centred"]),
        helper.make_node("Div", ["centred", "spread"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    initializers = [
        tensor("centre", [[4000.0, 2008.0, 1.0, 0.5]]),
        tensor("spread", [[800.0, 1.0, 1.0, 0.5]]),
        tensor("weights", weights),
    ]
    return model_of(nodes, output="probabilities", output_shape=["N", labels], initializers=initializers)


def regressor(*, shape: Sequence[int | str] = ("N", 1)) -> onnx.ModelProto:
    """A linear map to one number per row, [N, 1] or [N]."""
    nodes = [helper.make_node("MatMul", ["columns", "weights"], ["value" if len(shape) == 2 else "flat"])]
    initializers = [tensor("weights", [[0.001], [0.01], [0.5], [0.25]])]
    if len(shape) == 1:
        nodes.append(helper.make_node("Reshape", ["flat", "open"], ["value"]))
        initializers.append(numpy_helper.from_array(np.asarray([-1], dtype=np.int64), "open"))
    return model_of(nodes, output="value", output_shape=shape, initializers=initializers)


def tensors_of(role: str, shape: tuple[int | None, ...], *, width: int = WIDTH) -> Tensors:
    return Tensors(
        input=TensorSpec(name="columns", shape=(None, width)), outputs={role: TensorSpec(name=role, shape=shape)}
    )


def make_manifest(**changes: Any) -> Manifest:
    """A complete manifest of a classification, without digests."""
    entries: dict[str, Any] = {
        "service": "penguins",
        "title": "Penguins",
        "model_name": "penguins-linear",
        "candidate": "linear",
        "task": ClassificationTask(labels=LABELS),
        "input": InputSpec(
            json_schema=rebuild_schema("Penguin", COLUMNS).json_schema(),
            columns=COLUMNS,
            rules=(Rule(col("mass_g") > 1500 + 0 * col("year"), "a penguin weighs more", ("mass_g",)),),
            derived=(
                DerivedFeature(name="log_mass", expression=log(col("mass_g"))),
                DerivedFeature(name="double", expression=2 * col("log_mass")),
            ),
        ),
        "confidence_threshold": 0.5,
        "tensors": tensors_of("probabilities", (None, 3)),
        "provenance": Provenance(
            created_at="2026-11-21T00:00:00+00:00",
            dataset=DatasetFacts(digest="d" * 64, rows=200, source="made up", splits={"train": 160, "test": 40}),
            seed=7,
            libraries={"numpy": np.__version__},
        ),
    }
    return Manifest(**entries | changes)


def function_manifest(**changes: Any) -> Manifest:
    """A complete manifest of a service whose own code answers, without digests."""
    entries: dict[str, Any] = {
        "kind": "function",
        "task": None,
        "tensors": None,
        "code_digest": "c" * 64,
        "confidence_threshold": None,
        "input": InputSpec(json_schema={}, columns=(), picture=PictureSpec(field="image", image=Image(mode="L"))),
    }
    return make_manifest(**entries | changes)


def regression_manifest(shape: tuple[int | None, ...] = (None, 1)) -> Manifest:
    return make_manifest(task=RegressionTask(unit="kg"), tensors=tensors_of("value", shape), confidence_threshold=None)


def make_inputs(rows: int = 24, *, seed: int = 3) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "mass_g": round(float(rng.uniform(2500, 6500)), 1),
            "year": int(rng.integers(2005, 2012)),
            "island": ("Biscoe", "Dream", "Torgersen")[row % 3],
            "wild": bool(row % 2),
        }
        for row in range(rows)
    ]


def encode(inputs: Sequence[dict[str, Any]]) -> Matrix:
    schema = rebuild_schema("Penguin", COLUMNS)
    return Encoder(schema).encode_rows([schema.model.model_validate_json(json.dumps(row)) for row in inputs])


def make_golden(model: bytes, manifest: Manifest, inputs: Sequence[dict[str, Any]]) -> list[GoldenCase]:
    assert manifest.tensors is not None
    outputs = OnnxSession(model, manifest.tensors).run(encode(inputs)).reshape(len(inputs), -1)
    return [
        GoldenCase(input=row, expected=tuple(answer.astype(float).tolist()), tolerance=1e-5)
        for row, answer in zip(inputs, outputs, strict=True)
    ]


def make_reference(model: bytes, manifest: Manifest) -> Profile:
    assert manifest.tensors is not None
    matrix = encode(make_inputs(200, seed=4))
    outputs = OnnxSession(model, manifest.tensors).run(matrix)
    return make_profile(manifest.columns, matrix, outputs, manifest.require_task())


def build_package(
    directory: Path,
    *,
    manifest: Manifest | None = None,
    model: onnx.ModelProto | None = None,
    on_file: Callable[[str], None] | None = None,
) -> Manifest:
    """Write a whole, good package."""
    manifest = manifest or make_manifest()
    model_bytes = (model or classifier()).SerializeToString()
    return write_package(
        directory,
        manifest=manifest,
        model=model_bytes,
        profile=make_reference(model_bytes, manifest),
        golden=make_golden(model_bytes, manifest, make_inputs()),
        metrics={"candidates": {"linear": {"accuracy": 0.97}}},
        card="# Penguins\n",
        on_file=on_file,
    )


def replace_file(path: Path, data: bytes) -> None:
    """Overwrite a read-only file."""
    path.chmod(0o644)
    path.write_bytes(data)


def reseal(directory: Path, **files: bytes) -> None:
    """Put other bytes into a package and mend its digests: only what the bytes mean can still be refused.

    Files are named by their stems (`model=`, `golden=`, `profile=`).
    """
    from rookery.package.digests import content_digest
    from rookery.package.manifest import FileEntry, read_manifest

    manifest = read_manifest(directory)
    entries = dict(manifest.files)
    for stem, data in files.items():
        (name,) = [name for name in entries if name.startswith(stem)]
        replace_file(directory / name, data)
        entries[name] = FileEntry(sha256=sha256_hex(data), size=len(data))
    digest = content_digest({name: entry.sha256 for name, entry in entries.items()})
    changed = manifest.model_copy(update={"files": entries, "content_digest": digest})
    replace_file(directory / "manifest.json", changed.to_json())


def golden_bytes(cases: Sequence[GoldenCase]) -> bytes:
    return write_golden(cases)

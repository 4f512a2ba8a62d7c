"""A model that exists already becomes a complete package: a fitted object, or the bytes of an ONNX file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from rookery.errors import DataError, DefinitionError, PackageError
from rookery.export.adapt import Activation, adapt_model
from rookery.export.card import render_card
from rookery.export.convert import Exported, export_estimator
from rookery.export.golden import choose_golden
from rookery.export.invented import invent_rows
from rookery.export.original import qualified_name
from rookery.export.parity import ParityReport, prove
from rookery.export.runner import GraphRunner, Matrix
from rookery.fields.encoder import Encoder
from rookery.fields.expression import Expression, Rule
from rookery.fields.schema import InputSchema
from rookery.package.describe import describe_service, read_library_versions
from rookery.package.manifest import DatasetFacts, Provenance
from rookery.package.profile import make_profile
from rookery.package.writer import write_package
from rookery.service.definition import Service
from rookery.service.policies import Limits
from rookery.service.task import Task

INVENTED_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class _Sample:
    """The rows that probes, profile and golden cases are made of."""

    matrix: Matrix
    is_invented: bool

    @property
    def source(self) -> str:
        if self.is_invented:
            return "rows invented uniformly within the input's bounds: no data was given"
        return "rows given when the package was made"


def package_model(
    model: Any,
    *,
    name: str,
    input: type[BaseModel],  # noqa: A002  (the word that Service uses)
    task: Task,
    destination: Path,
    sample: Any = None,
    derived: Mapping[str, Expression] | None = None,
    rules: Sequence[Rule] = (),
    confidence_threshold: float | None = None,
    model_name: str = "{service}",
    title: str = "",
    description: str = "",
    version: str = "1.0.0",
    limits: Limits | None = None,
    output: str | None = None,
    activation: Activation | None = None,
) -> Path:
    """Write a package for a model that exists already and return its folder.

    `model` is a fitted estimator of a supported kind, in this process, or an ONNX model's bytes (then `output` and
    `activation` are as in `adapt_model`). `input` names its columns, in the order it was fitted on; `derived` the
    features behind them. An estimator's classes are the task's labels, or 0, 1, … for their positions.

    `sample` holds rows to prove the export on and to profile: float32 [n, width], or a table that
    `Encoder.encode_columns` takes; without any, rows are invented within the input's bounds. `destination` is the
    folder to write; it must not exist. All else is declared as in `Service`.

    Raises:
        DefinitionError: the declarations contradict each other.
        TrainingError: the estimator is not supported, or its export is not proven.
        PackageError: the ONNX model does not fit, or the package cannot be written.
        DataError: the sample does not fit the input model, or the estimator other columns.
    """
    service = Service(
        name=name,
        input=input,
        task=task,
        derived=dict(derived or {}),
        rules=rules,
        confidence_threshold=confidence_threshold,
        model_name=model_name,
        title=title,
        description=description,
        version=version,
        limits=limits or Limits(),
    )
    rows = _read_sample(service, sample)
    exported, report = _export(model, service, rows.matrix, output, activation)
    _write(service, exported, report, rows, destination)
    return destination


def _write(service: Service, exported: Exported, report: ParityReport | None, rows: _Sample, destination: Path) -> None:
    """Profile the rows, choose golden cases and write the package."""
    outputs = np.asarray(GraphRunner(exported.model).run(rows.matrix), dtype=np.float32)
    finite = np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1)
    if not finite.any():
        raise DataError("the model answers none of the rows with finite numbers", cure="Give a sample of valid rows")
    golden = choose_golden(
        exported,
        schema=service.schema,
        derived=service.derived,
        matrix=rows.matrix[finite],
        rules=service.rules,
    )
    facts: dict[str, Any] = {
        "estimator": exported.estimator_kind,
        "parity": report.to_json() if report is not None else None,
        "sample": {"rows": len(rows.matrix), "source": rows.source, "invented": rows.is_invented},
    }
    write_package(
        destination,
        manifest=describe_service(
            service, candidate=exported.estimator_kind, tensors=exported.tensors, provenance=_provenance(rows)
        ),
        model=exported.model,
        profile=make_profile(service.schema.columns, rows.matrix[finite], outputs[finite], service.require_task()),
        golden=golden,
        metrics=facts,
        card=render_card(service, exported, report, source=rows.source, rows=len(rows.matrix)),
    )


def _read_sample(service: Service, sample: Any) -> _Sample:
    schema = service.schema
    if sample is None:
        rows = invent_rows(schema, INVENTED_ROWS, rules=service.rules)
        if not len(rows):
            raise DataError(
                "no row invented within the input's bounds meets the rules", cure="Give a sample of real rows"
            )
        return _Sample(rows, is_invented=True)
    if isinstance(sample, np.ndarray):
        return _Sample(_check_matrix(schema, sample), is_invented=False)
    return _Sample(Encoder(schema).encode_columns(sample), is_invented=False)


def _check_matrix(schema: InputSchema, sample: Any) -> Matrix:
    if sample.ndim != 2 or sample.shape[1] != schema.width or not len(sample):
        raise DataError(
            f"the sample has shape {list(sample.shape)}, rows of the input model are [n, {schema.width}]",
            cure=f"Give one column each for {', '.join(column.name for column in schema.columns)}",
        )
    matrix = np.ascontiguousarray(sample, dtype=np.float32)
    optional = np.asarray([column.optional for column in schema.columns])
    if np.isinf(matrix).any() or np.isnan(matrix[:, ~optional]).any():
        raise DataError("the sample holds infinite numbers, or missing ones in required columns", cure="Drop such rows")
    return matrix


def _export(
    model: Any, service: Service, matrix: Matrix, output: str | None, activation: Activation | None
) -> tuple[Exported, ParityReport | None]:
    """Return the graph, and the proof that it answers as the estimator does (an ONNX model is its own original)."""
    schema, derived, task = service.schema, service.derived, service.require_task()
    if isinstance(model, (bytes, bytearray, memoryview)):
        if derived:
            raise DefinitionError(
                "an ONNX model computes its features itself", cure="Drop the derived features, or put them in the graph"
            )
        adapted = adapt_model(
            bytes(model), schema=schema, task=task, matrix=matrix, output=output, activation=activation
        )
        return adapted, None
    if output is not None or activation is not None:
        raise DefinitionError(
            f"output and activation describe an ONNX model, this is {qualified_name(model)}", cure="Drop them"
        )
    exported = export_estimator(model, schema=schema, derived=derived, task=task, class_names="labels")
    report = prove(model, exported, schema=schema, derived=derived, task=task, matrix=matrix, class_names="labels")
    return exported, report


def _provenance(rows: _Sample) -> Provenance:
    dataset = None
    if not rows.is_invented:
        digest = hashlib.sha256(np.ascontiguousarray(rows.matrix).tobytes()).hexdigest()
        dataset = DatasetFacts(digest=digest, rows=len(rows.matrix), source=rows.source)
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(created_at=created_at, dataset=dataset, libraries=read_library_versions())


def load_fitted(path: Path, *, trust: bool) -> Any:
    """Load a fitted estimator from a joblib or pickle file, in this process.

    Raises:
        PackageError: it is not trusted (such a file runs code of its maker's choice when it is opened), or it
            cannot be loaded.
    """
    if not trust:
        raise PackageError(
            f"{path}: a joblib or pickle file can run any code when it is opened",
            cure="Pass --trust only for a file you made yourself or whose maker you trust",
        )
    import joblib  # comes with scikit-learn, which whoever fitted the object had

    try:
        return joblib.load(path)
    except FileNotFoundError as error:
        raise PackageError(f"{path}: there is no such file") from error
    except Exception as error:  # unpickling runs foreign code, which may raise anything
        raise PackageError(
            f"{path}: cannot be loaded: {type(error).__name__}: {' '.join(str(error).split())[:200]}",
            cure="Load it with the library versions it was saved with",
        ) from error

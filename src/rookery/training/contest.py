"""The contest: each candidate fitted, exported and scored on the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rookery.errors import TrainingError
from rookery.export.convert import Exported, export_estimator
from rookery.export.derived import derive
from rookery.package.session import OnnxSession
from rookery.service.definition import Service
from rookery.service.task import Classification
from rookery.training.candidates import Fitted, fit, make_estimator, read_parameters
from rookery.training.evaluate import cross_validate, make_folds, permutation_importance
from rookery.training.figures import draw_confusion, draw_importance, draw_residuals
from rookery.training.load import TrainingData
from rookery.training.report import CandidateReport
from rookery.training.rows import Matrix, Target
from rookery.training.scores import classification_report, confusion_matrix, score
from rookery.training.split import Split
from rookery.training.tracker import RunRecord

BATCH_ROWS = 8_192
"""Rows per run of a graph, so that intermediate tensors stay small."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arena:
    """What all candidates of one training share: rows, their derived features, the split and the folds."""

    data: TrainingData
    features: Matrix
    """float32 [n, width + derived], computed by the derived features' own graph."""
    split: Split
    folds: Sequence[Split]
    """Within the training part; numbers count from its first row."""

    @property
    def test_matrix(self) -> Matrix:
        """The held-out rows' columns."""
        return self.data.matrix[self.split.test]

    @property
    def test_target(self) -> Target:
        """The held-out rows' outcomes."""
        return self.data.target[self.split.test]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """A fitted candidate with its graph and its answers to the held-out rows."""

    fitted: Fitted
    exported: Exported
    session: OnnxSession
    outputs: Matrix
    """The exported graph's answers to the held-out rows: what is judged is what ships."""
    report: CandidateReport


def prepare_arena(service: Service, data: TrainingData, split: Split) -> Arena:
    """Derive features and deal the folds.

    Raises:
        DataError: a derived feature is undefined for a row.
    """
    matrix, target = data.matrix[split.train], data.target[split.train]
    return Arena(
        data=data,
        features=derive(service.schema, service.derived, data.matrix),
        split=split,
        folds=make_folds(service, matrix, target, data.rows),
    )


def run_candidate(service: Service, name: str, arena: Arena, on_step: Callable[[str], None]) -> Contender:
    """Cross-validate a candidate, fit it on the training part, export it, and score its graph on the held-out part.

    Raises:
        TrainingError: it cannot be made, fitted or exported; the message names it.
    """
    features, target = arena.features[arena.split.train], arena.data.target[arena.split.train]
    validation = cross_validate(
        service, name, arena.folds, features, target, on_fold=lambda: on_step(f"cross-validating {name}")
    )
    on_step(f"fitting {name}")
    fitted = fit(service, name, make_estimator(service, name), features, target)
    on_step(f"exporting {name}")
    exported = _export(service, name, fitted)
    session = OnnxSession(exported.model, exported.tensors)
    outputs = run_in_batches(session, arena.test_matrix)
    report = CandidateReport(
        name=name,
        estimator=exported.estimator_kind,
        held_out=score(service.require_task(), arena.test_target, outputs),
        cross_validation=validation,
        fit_seconds=fitted.seconds,
        graph_bytes=len(exported.model),
        row_seconds=session.measure_latency(),
        importance=permutation_importance(service, session.run, arena.test_matrix, arena.test_target),
        warnings=fitted.warnings,
    )
    return Contender(fitted=fitted, exported=exported, session=session, outputs=outputs, report=report)


def run_in_batches(session: OnnxSession, matrix: Matrix) -> Matrix:
    """Run a graph over any number of rows; returns [n, labels] or [n]."""
    return np.concatenate(
        [session.run(matrix[start : start + BATCH_ROWS]) for start in range(0, len(matrix), BATCH_ROWS)]
    )


def _export(service: Service, name: str, fitted: Fitted) -> Exported:
    try:
        return export_estimator(
            fitted.estimator, schema=service.schema, derived=service.derived, task=service.require_task()
        )
    except TrainingError as error:
        raise type(error)(f"{service.name}: candidate {name!r}: {error.message}", cure=error.cure) from error


def describe_contender(service: Service, contender: Contender, arena: Arena, *, figures: bool) -> RunRecord:
    """Return what a candidate's run keeps: parameters, scores, costs, and (with `figures`) plots and reports."""
    report = contender.report
    metrics = {**report.held_out, "fit_seconds": report.fit_seconds, "graph_bytes": float(report.graph_bytes)}
    metrics["row_microseconds"] = report.row_seconds * 1e6
    if report.cross_validation is not None:
        metrics |= {f"cv_{name}": value for name, value in report.cross_validation.mean.items()}
        metrics |= {f"cv_{name}_std": value for name, value in report.cross_validation.std.items()}
    return RunRecord(
        params=read_parameters(contender.fitted.estimator),
        metrics=metrics,
        tags={"rookery.service": service.name, "rookery.candidate": report.name},
        artifacts=_draw(service, contender, arena) if figures else {},
    )


def _draw(service: Service, contender: Contender, arena: Arena) -> dict[str, bytes]:
    report, target, outputs = contender.report, arena.test_target, contender.outputs
    title = f"{service.name}: {report.name}, {len(target):,} held-out rows"
    artifacts = {
        "report.json": _to_bytes(report.to_json()),
        "importance.json": _to_bytes(dict(report.importance)),
        "importance.png": draw_importance(report.importance, service.metric, title),
    }
    if isinstance(service.task, Classification):
        facts = classification_report(service.task, target, outputs)
        counts = confusion_matrix(target, outputs, len(service.task.labels))
        artifacts["confusion_matrix.png"] = draw_confusion(service.task.labels, counts, title)
        artifacts["classification_report.json"] = _to_bytes(facts)
        artifacts["classification_report.txt"] = _print_report(facts).encode()
    else:
        artifacts["residuals.png"] = draw_residuals(target, outputs, title)
    return artifacts


def _print_report(facts: dict[str, dict[str, float]]) -> str:
    """Return a classification report as a text table."""
    wide = max(len(label) for label in facts)
    lines = [f"{'':{wide}}  precision  recall      f1  support"]
    lines += [
        f"{label:{wide}}  {row['precision']:9.3f}  {row['recall']:6.3f}  {row['f1']:6.3f}  {row['support']:7.0f}"
        for label, row in facts.items()
    ]
    return "\n".join(lines) + "\n"


def _to_bytes(document: object) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()

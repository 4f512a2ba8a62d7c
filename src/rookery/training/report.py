"""`TrainingReport`: what came of a training, as JSON values and as a table for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rookery.export.parity import ParityReport
from rookery.registry.base import ModelVersion
from rookery.training.choice import Condition
from rookery.training.evaluate import CrossValidation

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


SHOWN_METRICS = ("accuracy", "f1_macro", "log_loss", "rmse", "mae", "r2")
"""Scores by how much they tell at a glance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateReport:
    """One candidate: its scores, and what it costs."""

    name: str
    estimator: str
    held_out: Mapping[str, float]
    """Scores of its exported graph on the held-out part."""
    cross_validation: CrossValidation | None
    fit_seconds: float
    graph_bytes: int
    row_seconds: float
    """Median time of the exported graph for one row."""
    importance: Mapping[str, float]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as JSON values."""
        return {
            "estimator": self.estimator,
            "held_out": dict(self.held_out),
            "cross_validation": self.cross_validation.to_json() if self.cross_validation else None,
            "fit_seconds": round(self.fit_seconds, 4),
            "graph_bytes": self.graph_bytes,
            "row_microseconds": round(self.row_seconds * 1e6, 1),
            "importance": dict(self.importance),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """A finished training: who was chosen, how it was judged, and the version it became."""

    service: str
    metric: str
    chosen: str
    chosen_by: str
    """`cross-validation` or `held-out rows`."""
    judged_by: str
    """What the gate's scores were taken from, in the same words."""
    candidates: tuple[CandidateReport, ...]
    scores: Mapping[str, float]
    """The chosen candidate's scores, as the gate saw them."""
    conditions: tuple[Condition, ...]
    parity: ParityReport
    content_digest: str
    dataset_digest: str
    synthetic: bool
    rows: Mapping[str, int]
    version: ModelVersion
    alias: str | None
    seconds: float
    run_id: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def chosen_candidate(self) -> CandidateReport:
        """The candidate that was chosen."""
        return next(candidate for candidate in self.candidates if candidate.name == self.chosen)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "service": self.service,
            "version": self.version.to_json(),
            "alias": self.alias,
            "metric": self.metric,
            "chosen": self.chosen,
            "chosen_by": self.chosen_by,
            "judged_by": self.judged_by,
            "scores": dict(self.scores),
            "gate": [condition.to_json() for condition in self.conditions],
            "candidates": {candidate.name: candidate.to_json() for candidate in self.candidates},
            "parity": self.parity.to_json(),
            "content_digest": self.content_digest,
            "dataset_digest": self.dataset_digest,
            "synthetic": self.synthetic,
            "rows": dict(self.rows),
            "run_id": self.run_id,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 2),
        }

    def to_json_bytes(self) -> bytes:
        """Return the report as the bytes of a JSON file."""
        return (json.dumps(self.to_json(), indent=2) + "\n").encode()


def make_table(report: TrainingReport) -> Table:
    """Return the table of candidates: scores with their spread, time, size, latency, and who was chosen."""
    from rich.table import Table

    synthetic = " · SYNTHETIC DATA" if report.synthetic else ""
    title = f"{report.service} version {report.version.version}: {report.chosen} by {report.metric}{synthetic}"
    table = Table(title=title, caption=_caption(report), title_justify="left", caption_justify="left")
    table.add_column("")
    table.add_column("candidate")
    if report.candidates[0].cross_validation is not None:
        table.add_column(f"{report.metric}\ncross-validated", justify="right")
    for metric in _shown_metrics(report):
        table.add_column(f"{metric}\nheld out", justify="right")
    for heading in ("fit", "graph", "one row"):
        table.add_column(heading, justify="right")
    for candidate in report.candidates:
        table.add_row(*_cells(candidate, report), style="bold" if candidate.name == report.chosen else None)
    return table


def _shown_metrics(report: TrainingReport) -> list[str]:
    """Return the metric that decides, then as many others as fit on a terminal."""
    others = [metric for metric in SHOWN_METRICS if metric in report.candidates[0].held_out and metric != report.metric]
    return [report.metric, *others][:3]


def _cells(candidate: CandidateReport, report: TrainingReport) -> Iterator[str]:
    yield "✔" if candidate.name == report.chosen else ""
    yield candidate.name
    if candidate.cross_validation is not None:
        validation = candidate.cross_validation
        yield f"{validation.mean[report.metric]:.4f} ± {validation.std[report.metric]:.4f}"
    for metric in _shown_metrics(report):
        yield f"{candidate.held_out[metric]:.4f}"
    yield f"{candidate.fit_seconds:.2f} s"
    yield (
        f"{candidate.graph_bytes / 1e6:.2f} MB"
        if candidate.graph_bytes >= 1e5
        else f"{candidate.graph_bytes / 1e3:.1f} kB"
    )
    yield f"{candidate.row_seconds * 1e6:.0f} µs"


def _caption(report: TrainingReport) -> str:
    parity = report.parity
    lines = [
        f"{report.rows['train']:,} rows taught, {report.rows['test']:,} were held out; chosen by {report.chosen_by}",
        f"parity proven on {parity.rows:,} rows, largest difference {parity.max_difference:.1e}",
        *(f"gate: {condition.text}" for condition in report.conditions),
        *(f"note: {note}" for note in report.notes),
    ]
    return "\n".join(lines)


class Progress(Protocol):
    """Is told what a training is doing, and how much of it is done (0 to 1)."""

    def __call__(self, step: str, done: float) -> None:
        """Take note of one step."""
        ...


def no_progress(step: str, done: float) -> None:
    """Show nothing."""


@contextmanager
def rich_progress(service: str, console: Console | None = None) -> Iterator[Progress]:
    """Show a training's progress as a bar for as long as the context lasts."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.fields[service]}"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0, service=service)

        def show(step: str, done: float) -> None:
            bar.update(task, description=step, completed=done)

        yield show

"""The model card of a package made from a model that existed already."""

from __future__ import annotations

from rookery.export.convert import Exported
from rookery.export.parity import ParityReport
from rookery.service.definition import Service
from rookery.service.task import Classification


def render_card(service: Service, exported: Exported, report: ParityReport | None, *, source: str, rows: int) -> str:
    """Return the card as Markdown: what the model is for, what it reads, how it was proven, what is not known."""
    lines = [f"# {service.title or service.name}", ""]
    if service.description:
        lines += [service.description, ""]
    lines += [f"Model: {exported.estimator_kind}, packaged as it was; Rookery did not train it.", ""]
    lines += ["## Answers", "", _describe_task(service), "", "## Input", ""]
    lines += ["| column | kind | unit | allowed |", "|---|---|---|---|"]
    for column in service.schema.columns:
        low = column.minimum if column.minimum is not None else column.exclusive_minimum
        high = column.maximum if column.maximum is not None else column.exclusive_maximum
        allowed = ", ".join(map(str, column.categories)) or f"{_number(low)} to {_number(high)}"
        kind = f"{column.kind}, optional" if column.optional else column.kind
        lines.append(f"| {column.name} | {kind} | {column.unit or ''} | {allowed} |")
    lines += ["", "## Proof", "", _describe_proof(exported, report), "", "## Data", ""]
    lines += [f"Profile, golden cases and probes come from {rows} rows: {source}.", "", "## Limits", ""]
    lines += ["How well the model predicts is not known to Rookery: no scores were measured here.", ""]
    return "\n".join(lines)


def _describe_task(service: Service) -> str:
    task = service.require_task()
    if isinstance(task, Classification):
        return f"One of {', '.join(task.labels)}, with a probability for each."
    return f"A number in {task.unit}." if task.unit else "A number."


def _describe_proof(exported: Exported, report: ParityReport | None) -> str:
    if report is None:
        return "The graph is the given ONNX model itself, with its input and output named for serving."
    unit = "" if exported.labels is not None else " standard deviations"
    return (
        f"The exported graph was compared with the fitted model on {report.rows} rows and probes: the largest "
        f"difference is {report.max_difference:.2g}{unit}, {report.tolerance:.0e} is allowed; "
        f"{report.excused} rows needed the excuse of one float32 step."
    )


def _number(bound: float | None) -> str:
    return "any" if bound is None else f"{bound:g}"

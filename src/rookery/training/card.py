"""`MODEL_CARD.md`: what a model is for, what it was made of, how good it is and where its limits lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rookery.fields.columns import Column
from rookery.package.manifest import Provenance
from rookery.package.profile import Numeric, Profile
from rookery.service.definition import Service
from rookery.service.metrics import METRICS
from rookery.service.task import Classification

SYNTHETIC_WARNING = (
    "> **Trained on synthetic data.** The rows were invented to let the service start without its real data. "
    "Its answers mean nothing, its scores say nothing, and it is never compared with a version of real data."
)


def write_card(
    service: Service, *, metrics: Mapping[str, Any], provenance: Provenance, profile: Profile, notes: tuple[str, ...]
) -> str:
    """Return the model card as Markdown, made of the same facts as manifest, profile and metrics."""
    sections = (
        _head(service, metrics, provenance),
        _use(service, profile),
        _data(service, provenance, notes),
        _scores(service, metrics),
        _limits(service, metrics, profile),
        _origin(provenance, metrics),
    )
    return "\n".join(line for section in sections for line in section)


def _head(service: Service, metrics: Mapping[str, Any], provenance: Provenance) -> Iterator[str]:
    yield f"# {service.title or service.name}: {metrics['model_name']}"
    yield ""
    if provenance.dataset is not None and provenance.dataset.synthetic:
        yield SYNTHETIC_WARNING
        yield ""
    yield service.description or f"The model of the service `{service.name}`."
    yield ""


def _use(service: Service, profile: Profile) -> Iterator[str]:
    yield "## Intended use"
    yield ""
    task = service.require_task()
    if isinstance(task, Classification):
        yield f"Tells which of {', '.join(task.labels)} a row is, with a probability for each."
    else:
        unit = f", in {task.unit}" if task.unit else ""
        yield f"Estimates one number{unit}."
    yield "It answers rows like those it was trained on; other rows are answered with a warning, or refused."
    yield ""
    yield "| input | unit | allowed | in the training data |"
    yield "|---|---|---|---|"
    for column, seen in zip(service.schema.columns, profile.columns, strict=True):
        spread = (
            f"{seen.minimum:g} to {seen.maximum:g}"
            if isinstance(seen, Numeric) and seen.minimum is not None and (seen.maximum is not None)
            else "all of them"
        )
        yield f"| `{column.name}` | {column.unit or ''} | {_allowed(column)} | {spread} |"
    if service.rules:
        yield ""
        yield "Rows are refused, with these words, when they break a rule:"
        yield ""
        yield from (f"- {rule.message}" for rule in service.rules)
    yield ""


def _allowed(column: Column) -> str:
    if column.kind == "category":
        return ", ".join(str(category) for category in column.categories)
    if column.kind == "boolean":
        return "true, false"
    low = column.minimum if column.minimum is not None else column.exclusive_minimum
    high = column.maximum if column.maximum is not None else column.exclusive_maximum
    if low is None and high is None:
        return "any " + column.kind
    if low is None or high is None:
        return f"up to {high:g}" if low is None else f"from {low:g}"
    return f"{low:g} to {high:g}"


def _data(service: Service, provenance: Provenance, notes: tuple[str, ...]) -> Iterator[str]:
    dataset = provenance.dataset
    if dataset is None:
        return
    yield "## Data"
    yield ""
    yield f"{dataset.source or 'Rows from the service’s own data function'}: {dataset.rows:,} rows" + (
        ", synthetic." if dataset.synthetic else "."
    )
    yield (
        f"{dataset.splits['train']:,} rows taught and {dataset.splits['test']:,} were held out, drawn by each row's "
        f"own content (seed {service.seed}, share {service.test_share:g}), so a row keeps its side whatever is added."
    )
    if notes:
        yield ""
        yield from (f"- {note}" for note in notes)
    yield ""


def _scores(service: Service, metrics: Mapping[str, Any]) -> Iterator[str]:
    yield "## Scores"
    yield ""
    yield (
        f"Chosen: **{metrics['candidate']}**, by {service.metric} ({METRICS[service.metric].description}), "
        f"judged by {metrics['chosen_by']}. The very model that was judged ships: fitted on the training part alone."
    )
    yield ""
    validated = metrics["cross_validation"]
    columns = list(metrics["held_out"]["scores"])
    yield "| candidate | judged by | " + " | ".join(columns) + " |"
    yield "|---|---|" + "---|" * len(columns)
    for name, candidate in metrics["candidates"].items():
        shown = f"**{name}**" if name == metrics["candidate"] else name
        if validated is not None:
            mean, std = candidate["cross_validation"]["mean"], candidate["cross_validation"]["std"]
            cells = (f"{mean[metric]:.4f} ± {std[metric]:.4f}" for metric in columns)
            judge = f"{validated['repeats']} × {validated['folds']} folds of the training part"
            yield f"| {shown} | {judge} | " + " | ".join(cells) + " |"
        cells = (f"{candidate['held_out'][metric]:.4f}" for metric in columns)
        yield f"| {shown} | {metrics['held_out']['rows']:,} held-out rows | " + " | ".join(cells) + " |"
    yield ""
    yield f"Seed {service.seed}. A ± is the standard deviation between folds."
    yield ""
    yield from _gate(metrics)


def _gate(metrics: Mapping[str, Any]) -> Iterator[str]:
    if metrics["gate"]:
        yield "Gate:"
        yield ""
        yield from (
            f"- {'met' if condition['met'] else 'MISSED'}: {condition['text']}" for condition in metrics["gate"]
        )
        yield ""


def _limits(service: Service, metrics: Mapping[str, Any], profile: Profile) -> Iterator[str]:
    yield "## Limits"
    yield ""
    if isinstance(service.task, Classification):
        report = metrics["held_out"]["classification_report"]
        weakest = min(report, key=lambda label: report[label]["f1"])
        facts = report[weakest]
        yield (
            f"- Weakest on {weakest}: precision {facts['precision']:.3f}, recall {facts['recall']:.3f} "
            f"on {facts['support']} held-out rows."
        )
        yield "- It knows no other classes: whatever it is shown, it answers one of these."
    else:
        spread = metrics["held_out"]["residual_quantiles"]
        yield f"- Nine predictions in ten are off by {spread['q05']:+.3f} to {spread['q95']:+.3f} (held-out rows)."
        value = profile.output("value")
        if isinstance(value, Numeric) and value.minimum is not None and value.maximum is not None:
            yield f"- Its answers lie between {value.minimum:.3f} and {value.maximum:.3f}."
    important = list(metrics["importance"])[:3]
    yield f"- It leans most on {', '.join(important)} (permutation importance); faults in these cost most."
    yield "- It was judged on rows drawn like its training rows: a drift of the world since then is not in its scores."
    yield ""


def _origin(provenance: Provenance, metrics: Mapping[str, Any]) -> Iterator[str]:
    yield "## Origin"
    yield ""
    yield f"- Made {provenance.created_at}, seed {provenance.seed}"
    yield f"- Commit {provenance.git_commit or 'unknown'}"
    if provenance.dataset is not None:
        yield f"- Dataset digest `{provenance.dataset.digest}`"
    yield f"- Definition digest `{metrics['definition_digest']}`"
    if provenance.parent_run is not None:
        yield f"- MLflow run `{provenance.parent_run}`"
    yield "- " + ", ".join(f"{name} {version}" for name, version in provenance.libraries.items())
    yield ""

"""Assembly: the chosen contender's facts put together as metrics, manifest, card and package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rookery.export.golden import choose_golden
from rookery.export.parity import ParityReport
from rookery.package.describe import describe_service
from rookery.package.manifest import Manifest, Provenance
from rookery.package.profile import Profile, make_profile
from rookery.package.writer import write_package
from rookery.service.definition import Service
from rookery.training.card import write_card
from rookery.training.choice import Condition
from rookery.training.contest import Arena, Contender, run_in_batches
from rookery.training.provenance import definition_digest
from rookery.training.report import CandidateReport
from rookery.training.scores import judge_in_detail

ENOUGH_ROWS = 500
"""So many held-out rows describe how answers are distributed; with fewer, the training rows do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """What was decided of a contest."""

    chosen: Contender
    reports: Sequence[CandidateReport]
    chosen_by: str
    judged_by: str
    scores: Mapping[str, float]
    conditions: Sequence[Condition]
    parity: ParityReport
    notes: tuple[str, ...]


def describe_metrics(service: Service, arena: Arena, verdict: Verdict) -> dict[str, Any]:
    """Return the content of `metrics.json`: `scores` are the chosen candidate's, as the gate saw them."""
    report = verdict.chosen.report
    detail = judge_in_detail(service.require_task(), arena.test_target, verdict.chosen.outputs)
    return {
        "service": service.name,
        "model_name": service.resolve_model_name(report.name),
        "candidate": report.name,
        "metric": service.metric,
        "chosen_by": verdict.chosen_by,
        "judged_by": verdict.judged_by,
        "scores": dict(verdict.scores),
        "held_out": {"rows": len(arena.split.test), "scores": dict(report.held_out), **detail},
        "cross_validation": report.cross_validation.to_json() if report.cross_validation else None,
        "gate": [condition.to_json() for condition in verdict.conditions],
        "candidates": {each.name: each.to_json() for each in verdict.reports},
        "importance": dict(report.importance),
        "parity": verdict.parity.to_json(),
        "split": {
            "seed": service.seed,
            "test_share": service.test_share,
            "train": len(arena.split.train),
            "test": len(arena.split.test),
        },
        "synthetic": arena.data.synthetic,
        "definition_digest": definition_digest(service),
        "notes": list(verdict.notes),
    }


def describe_rows(service: Service, arena: Arena, chosen: Contender) -> Profile:
    """Return the profile: training rows' inputs, and the graph's answers to rows it never saw where there are enough.

    A model is surer of rows that trained it; measured against those, every honest prediction would look like drift.
    """
    matrix = arena.data.matrix[arena.split.train]
    outputs = chosen.outputs if len(chosen.outputs) >= ENOUGH_ROWS else run_in_batches(chosen.session, matrix)
    return make_profile(service.schema.columns, matrix, outputs, service.require_task())


def assemble(service: Service, arena: Arena, verdict: Verdict, provenance: Provenance, directory: Path) -> Manifest:
    """Write the package of the chosen contender as the new folder `directory`.

    Raises:
        PackageError: it cannot be written.
    """
    metrics = describe_metrics(service, arena, verdict)
    profile = describe_rows(service, arena, verdict.chosen)
    golden = choose_golden(
        verdict.chosen.exported,
        schema=service.schema,
        derived=service.derived,
        matrix=arena.data.matrix,
        rules=service.rules,
    )
    return write_package(
        directory,
        manifest=describe_service(
            service,
            candidate=verdict.chosen.report.name,
            tensors=verdict.chosen.exported.tensors,
            provenance=provenance,
        ),
        model=verdict.chosen.exported.model,
        profile=profile,
        golden=golden,
        metrics=metrics,
        card=write_card(service, metrics=metrics, provenance=provenance, profile=profile, notes=verdict.notes),
    )

"""`train`: from a service's definition to a registered version, in one straight line."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rookery.errors import DefinitionError, GateError
from rookery.export.parity import ParityReport, prove
from rookery.package.manifest import Manifest
from rookery.registry.base import CHAMPION, ModelVersion, Registry
from rookery.registry.promotion import promote
from rookery.service.definition import Service
from rookery.service.task import Classification
from rookery.training.assemble import Verdict, assemble
from rookery.training.candidates import make_estimator
from rookery.training.champion import compare, open_champion
from rookery.training.choice import choose, judge_scores, unmet
from rookery.training.contest import Arena, Contender, describe_contender, prepare_arena, run_candidate
from rookery.training.evaluate import SMALL_ROWS, choose_folds
from rookery.training.load import TrainingData, load_training_data
from rookery.training.provenance import definition_digest, make_provenance
from rookery.training.report import Progress, TrainingReport, no_progress
from rookery.training.split import Split, split_rows
from rookery.training.tracker import RunRecord, Tracker

HELD_OUT = "held-out rows"
CROSS_VALIDATION = "cross-validation"


def train(
    service: Service,
    *,
    registry: Registry,
    tracker: Tracker,
    home: Path,
    progress: Progress | None = None,
    alias: str | None = CHAMPION,
) -> TrainingReport:
    """Train, judge, prove, package and register a service's model, and give the new version its alias.

    Everything is decided before anything is registered: a fault or a missed gate leaves the registry as it was.
    The model that ships is the very one that was judged, fitted on the training part alone.

    Args:
        service: the definition, with data and candidates.
        registry: where the version is registered and the champion is found.
        tracker: where the runs are recorded.
        home: the folder of all state; packages are staged below it.
        progress: is told each step.
        alias: what the new version becomes: champion (with all traffic), another alias, or None: nothing.

    Raises:
        DefinitionError: the service declares nothing to train.
        DataError: the data cannot be used.
        TrainingError: a candidate cannot be trained or exported, or its export is not proven (`ParityError`).
        GateError: the chosen model misses the gate, or is too much worse than the champion.
        RegistryError: the registry refuses or does not answer.
    """
    if not service.candidates:
        raise DefinitionError(f"{service.name} has no candidates to train", cure="Declare candidates={'name': factory}")
    steps = _Steps(service, progress or no_progress)
    steps("loading data")
    data = load_training_data(service)
    split = split_rows(
        service.name, service.require_task(), data.matrix, data.target, seed=service.seed, test_share=service.test_share
    )
    for name in service.candidates:
        make_estimator(service, name)
    run_id = tracker.start(service.name, _describe_start(service, data, split))
    try:
        report = _compete(service, data, split, registry, tracker, home, steps, alias, run_id)
    except BaseException as error:
        tracker.finish(run_id, RunRecord(tags={"rookery.error": f"{type(error).__name__}: {error}"}), succeeded=False)
        raise
    return report


def _compete(
    service: Service,
    data: TrainingData,
    split: Split,
    registry: Registry,
    tracker: Tracker,
    home: Path,
    steps: _Steps,
    alias: str | None,
    run_id: str | None,
) -> TrainingReport:
    """Do all that has a run to be recorded in."""
    steps.plan_folds(data.rows)
    arena = prepare_arena(service, data, split)
    contenders: list[Contender] = []
    for name in service.candidates:
        contender = run_candidate(service, name, arena, steps)
        tracker.add_candidate(
            run_id, name, describe_contender(service, contender, arena, figures=tracker.wants_figures)
        )
        contenders.append(contender)
    steps("proving the export")
    verdict = judge(service, arena, contenders, registry=registry, home=home)
    steps("registering")
    manifest, version = _register(service, arena, verdict, registry, home, run_id)
    _give_alias(service, registry, version, alias)
    report = TrainingReport(
        service=service.name,
        metric=service.metric,
        chosen=verdict.chosen.report.name,
        chosen_by=verdict.chosen_by,
        judged_by=verdict.judged_by,
        candidates=tuple(verdict.reports),
        scores=verdict.scores,
        conditions=tuple(verdict.conditions),
        parity=verdict.parity,
        content_digest=manifest.content_digest,
        dataset_digest=data.digest,
        synthetic=data.synthetic,
        rows={"train": len(split.train), "test": len(split.test)},
        version=registry.version(service.name, version.version),
        alias=alias,
        seconds=steps.seconds,
        run_id=run_id,
        notes=verdict.notes,
    )
    tracker.finish(run_id, _describe_end(report), succeeded=True)
    return report


def judge(
    service: Service, arena: Arena, contenders: Sequence[Contender], *, registry: Registry, home: Path
) -> Verdict:
    """Choose the best contender, prove its export, and hold it against gate and champion.

    Raises:
        ParityError: the chosen export is not proven; no other candidate takes its place.
        GateError: a condition is not met; the message names every one.
    """
    by_name = {contender.report.name: contender for contender in contenders}
    validated = bool(arena.folds)
    is_small = arena.data.rows < SMALL_ROWS
    chosen = by_name[choose(service, {name: _scores(each, validated) for name, each in by_name.items()})]
    parity = _prove(service, arena, chosen)
    scores = _scores(chosen, is_small)
    judged_by = CROSS_VALIDATION if is_small else HELD_OUT
    comparison = compare(service, arena.data, arena.split, chosen.outputs, open_champion(service.name, registry, home))
    conditions = [*judge_scores(service.gate, scores, judged_by), *comparison.conditions]
    missed = unmet(conditions)
    if missed:
        raise GateError(
            f"{service.name}: the best candidate, {chosen.report.name}, misses its gate: "
            + "; ".join(condition.text for condition in missed),
            cure="Nothing was registered. Improve the data or the candidates, or change the service's gate",
        )
    return Verdict(
        chosen=chosen,
        reports=[contender.report for contender in contenders],
        chosen_by=CROSS_VALIDATION if validated else HELD_OUT,
        judged_by=judged_by,
        scores=scores,
        conditions=conditions,
        parity=parity,
        notes=_notes(arena, contenders, comparison.note),
    )


def _scores(contender: Contender, validated: bool) -> dict[str, float]:
    validation = contender.report.cross_validation
    return dict(validation.mean if validated and validation is not None else contender.report.held_out)


def _prove(service: Service, arena: Arena, chosen: Contender) -> ParityReport:
    is_classification = isinstance(service.task, Classification)
    return prove(
        chosen.fitted.estimator,
        chosen.exported,
        schema=service.schema,
        derived=service.derived,
        task=service.require_task(),
        matrix=arena.test_matrix,
        target_std=None if is_classification else float(arena.data.target[arena.split.train].std()),
    )


def _notes(arena: Arena, contenders: Sequence[Contender], comparison: str | None) -> tuple[str, ...]:
    warned = (f"{each.report.name}: {text}" for each in contenders for text in each.report.warnings)
    return (*arena.data.notes, *warned, *([comparison] if comparison else []))


def _register(
    service: Service, arena: Arena, verdict: Verdict, registry: Registry, home: Path, run_id: str | None
) -> tuple[Manifest, ModelVersion]:
    provenance = make_provenance(service, arena.data, arena.split, run_id)
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="training-", dir=home) as folder:
        directory = Path(folder) / "package"
        manifest = assemble(service, arena, verdict, provenance, directory)
        return manifest, registry.register(directory, run_id=run_id)


def _give_alias(service: Service, registry: Registry, version: ModelVersion, alias: str | None) -> None:
    if alias == CHAMPION:
        promote(registry, service.name, version.version)
    elif alias is not None:
        registry.set_alias(service.name, alias, version.version)


def _describe_start(service: Service, data: TrainingData, split: Split) -> RunRecord:
    return RunRecord(
        params={
            "metric": service.metric,
            "seed": str(service.seed),
            "test_share": f"{service.test_share:g}",
            "candidates": ", ".join(service.candidates),
            "rows": str(data.rows),
            "rows_train": str(len(split.train)),
            "rows_test": str(len(split.test)),
        },
        tags={
            "rookery.service": service.name,
            "rookery.dataset_digest": data.digest,
            "rookery.dataset_source": data.source,
            "rookery.synthetic": str(data.synthetic).lower(),
            "rookery.definition_digest": definition_digest(service),
        },
        artifacts={"provenance.json": make_provenance(service, data, split, None).model_dump_json(indent=2).encode()},
    )


def _describe_end(report: TrainingReport) -> RunRecord:
    return RunRecord(
        metrics=dict(report.scores),
        tags={
            "rookery.chosen": report.chosen,
            "rookery.version": report.version.version,
            "rookery.content_digest": report.content_digest,
        },
        artifacts={"report.json": report.to_json_bytes()},
    )


class _Steps:
    """Counts the steps of a training for the progress bar."""

    def __init__(self, service: Service, tell: Callable[[str, float], None]) -> None:
        self._service = service
        self._tell = tell
        self._done = 0
        self._total = 3 + 2 * len(service.candidates)
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the training began."""
        return time.perf_counter() - self._started

    def plan_folds(self, rows: int) -> None:
        """Count in the folds of the cross-validation, which the number of rows decides."""
        fits = choose_folds(self._service, rows) * self._service.cross_validation_repeats
        self._total += fits * len(self._service.candidates)

    def __call__(self, step: str) -> None:
        """Tell that a step begins."""
        self._tell(step, min(1.0, self._done / self._total))
        self._done += 1

"""The parity proof: an exported graph answers as the trained model does, or there is no package.

Probed are all rows given, a missing value in every optional column, every category, every bound, the tree
thresholds with one float32 step to either side, and single rows against the batch. `comparison` says what equal
means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rookery.errors import DataError, ParityError
from rookery.export.comparison import EXCUSED_SHARE, PROBABILITY_TOLERANCE, REGRESSION_TOLERANCE, Comparison
from rookery.export.convert import Exported
from rookery.export.derived import DerivedGraph
from rookery.export.graph import FEATURES, cut_model
from rookery.export.original import ClassNames, order_for
from rookery.export.probes import probe_bounds, probe_codes, probe_missing, spread_rows
from rookery.export.runner import GraphRunner, Matrix
from rookery.export.thresholds import probe_thresholds, read_splits
from rookery.fields.expression import Expression
from rookery.fields.schema import InputSchema
from rookery.service.task import Task

BASE_ROWS = 64
SINGLE_ROWS = 32
LABEL_ROWS = 2_000
THRESHOLD_LIMIT = 20_000
TREE_RUNS = 6_000_000
"""Thresholds probed times trees: what bounds the time of a proof, with `THRESHOLD_LIMIT`."""
LISTED_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """What was compared and how far graph and original lay apart; part of `metrics.json`."""

    max_difference: float
    """Between probabilities; of a regression, in standard deviations of the target."""
    tolerance: float
    rows: int
    """Rows compared, all kinds of probes together."""
    probes: dict[str, int]
    """Rows compared by kind of probe."""
    thresholds: int
    """Tree decisions in the graph."""
    thresholds_probed: int
    excused: int
    """Rows that differ, where the original gives that answer within one float32 step of the input."""
    excused_rows: list[dict[str, Any]] = field(default_factory=list)
    """The first of them."""
    unanswered: int = 0
    """Probes on which a derived feature is infinite or undefined: the graph must answer NaN there."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)


def prove(
    estimator: Any,
    exported: Exported,
    *,
    schema: InputSchema,
    derived: Mapping[str, Expression],
    task: Task,
    matrix: Matrix,
    target_std: float | None = None,
    class_names: ClassNames = "indices",
) -> ParityReport:
    """Prove that the graph answers as the estimator does, on `matrix` [n, width] and on every probe.

    `target_std` is the standard deviation of a regression's target; by default that of the original's answers.

    Raises:
        ParityError: it does not, or the original refuses a probe; `rows` says where.
        DataError: there are no rows to prove it on.
    """
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    widen, run = DerivedGraph(schema, derived), GraphRunner(exported.model)
    proof = Comparison(estimator, order_for(estimator, task, class_names), scale=1.0, centre=0.0)
    usable, faulty = _split_faulty(widen, matrix)
    if not len(usable):
        raise DataError("there is no row to prove the export on", cure="Give at least one valid row")
    if proof.order is None:
        answers = proof.ask("rows", widen.run(usable))
        proof.centre, spread = float(answers.mean()), float(answers.std() if target_std is None else target_std)
        # a constant model has no spread of its own to be measured by
        proof.scale = spread if spread > 1e-9 * abs(proof.centre) else abs(proof.centre) or 1.0
    base = spread_rows(usable, BASE_ROWS)
    columns = schema.columns
    groups = {
        "rows": usable,
        "missing": probe_missing(columns, base),
        "categories": probe_codes(columns, spread_rows(base, 8)),
        "bounds": probe_bounds(columns, spread_rows(base, 8)),
    }
    for kind, rows in groups.items():
        valid, undefined = _split_faulty(widen, rows)
        proof.compare(kind, valid, run.run, widen.run)
        faulty = np.concatenate([faulty, undefined])
    _require_no_answer(proof, run, faulty)

    width = schema.width + len(derived)
    core = cut_model(exported.model, at=FEATURES, width=width)
    splits = read_splits(core)
    limit = min(THRESHOLD_LIMIT, max(500, TREE_RUNS // max(splits.trees, 1)))
    at_thresholds = probe_thresholds(splits, widen.run(spread_rows(usable, 4_096)), limit=limit)
    proof.compare("thresholds", at_thresholds, GraphRunner(core).run, lambda rows: rows)
    _compare_single_rows(proof, run, [valid for valid in (usable, groups["categories"]) if len(valid)])
    proof.compare_own_labels(widen.run(spread_rows(usable, LABEL_ROWS)))
    return _report(proof, decisions=len(splits.branches), probed=-(-len(at_thresholds) // 3))


def _report(proof: Comparison, *, decisions: int, probed: int) -> ParityReport:
    total = sum(proof.probes.values())
    if len(proof.excused) > EXCUSED_SHARE * total:
        raise ParityError(
            f"{len(proof.excused)} of {total} rows need the excuse of one float32 step, at most 0.1 % may",
            cure="Scale the inputs, or choose another estimator",
        )
    return ParityReport(
        max_difference=proof.largest / (1.0 if proof.order is not None else proof.scale),
        tolerance=PROBABILITY_TOLERANCE if proof.order is not None else REGRESSION_TOLERANCE,
        rows=total,
        probes=proof.probes,
        thresholds=decisions,
        thresholds_probed=probed,
        excused=len(proof.excused),
        excused_rows=proof.excused[:LISTED_ROWS],
        unanswered=proof.unanswered,
    )


def _split_faulty(widen: DerivedGraph, rows: Matrix) -> tuple[Matrix, Matrix]:
    """Return the rows whose derived features are all defined, and the others."""
    if not len(rows):
        return rows, rows
    faulty = np.zeros(len(rows), dtype=bool)
    for found in widen.faults(widen.run(rows)).values():
        faulty[found] = True
    return rows[~faulty], rows[faulty]


def _require_no_answer(proof: Comparison, run: GraphRunner, faulty: Matrix) -> None:
    proof.unanswered = len(faulty)
    if len(faulty) and np.isfinite(run.run(faulty)).any():
        raise ParityError("the graph answers rows on which a derived feature is infinite or undefined")


def _compare_single_rows(proof: Comparison, run: GraphRunner, groups: Sequence[Matrix]) -> None:
    """Require that a row is answered alone as it is in a batch."""
    rows = spread_rows(np.concatenate(groups), SINGLE_ROWS)
    batch = run.run(rows).astype(np.float64)
    single = np.concatenate([run.run(rows[index : index + 1]) for index in range(len(rows))]).astype(np.float64)
    apart = proof.differences(batch, single)
    failing = np.flatnonzero(apart > proof.tolerances(batch))
    if len(failing):
        raise ParityError(
            f"{len(failing)} of {len(rows)} rows get another answer alone than in a batch, by up to {apart.max():.3g}",
            rows=failing.tolist(),
        )
    proof.probes["single"] = len(rows)

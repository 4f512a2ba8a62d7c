"""Choice and gate: pure decisions over scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rookery.service.definition import Service
from rookery.service.metrics import METRICS
from rookery.service.policies import Gate
from rookery.service.task import Task
from rookery.training.rows import Target
from rookery.training.scores import score

TIE_DECIMALS = 4
"""Scores that agree to so many decimals, as the report shows them, are a tie."""
RESAMPLES = 200


def choose(service: Service, scores: Mapping[str, Mapping[str, float]]) -> str:
    """Return the candidate with the best value of the service's metric; of tied ones the simplest.

    The order in which a service declares its candidates is the order of simplicity. It never leaves two level,
    so a measured speed, which differs from run to run, cannot sway the choice: same data and seed, same model.
    """
    metric = METRICS[service.metric]
    sign = -1.0 if metric.greater_is_better else 1.0
    order = {name: position for position, name in enumerate(service.candidates)}
    return min(scores, key=lambda name: (round(sign * scores[name][metric.name], TIE_DECIMALS), order[name]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of the gate, and whether it was met."""

    name: str
    limit: float
    actual: float
    met: bool
    text: str

    def to_json(self) -> dict[str, str | float | bool]:
        """Return the condition as JSON values."""
        return {"name": self.name, "limit": self.limit, "actual": self.actual, "met": self.met, "text": self.text}


def judge_scores(gate: Gate, scores: Mapping[str, float], judged_by: str) -> list[Condition]:
    """Hold scores against the gate's thresholds: lower bounds where more is better, upper bounds otherwise."""
    conditions = []
    for name, limit in gate.thresholds().items():
        actual, is_lower = scores[name], METRICS[name].greater_is_better
        met = actual >= limit if is_lower else actual <= limit
        sign = "≥" if is_lower else "≤"
        text = (
            f"{name} {actual:.4f} {sign} {limit:g} ({judged_by})"
            if met
            else (f"{name} {actual:.4f} is {'below' if is_lower else 'above'} {limit:g} ({judged_by})")
        )
        conditions.append(Condition(name=name, limit=limit, actual=actual, met=met, text=text))
    return conditions


def judge_against_champion(
    gate: Gate,
    metric: str,
    task: Task,
    target: Target,
    *,
    challenger: Target,
    champion: Target,
    version: str,
    seed: int = 0,
) -> list[Condition]:
    """Hold a challenger's answers against the champion's, on the same rows, none of which trained either.

    The metric may be worse by the gate's share of the champion's value; one standard error of that difference
    (paired bootstrap) is granted on top, as a single row more or less means nothing.
    """
    if gate.against_champion is None:
        return []
    worsening, error = _worsening(metric, task, target, challenger, champion, seed)
    limit = gate.against_champion
    met = worsening - error <= limit
    shown = f"{abs(worsening):.2%} {'worse' if worsening > 0 else 'better'} than champion version {version}"
    allowed = f"{limit:.2%} and one standard error of {error:.2%} are allowed, {len(target)} held-out rows"
    text = f"{metric} is {shown} ({allowed})"
    return [Condition(name="against_champion", limit=limit, actual=worsening, met=met, text=text)]


def _worsening(
    metric: str, task: Task, target: Target, challenger: Target, champion: Target, seed: int
) -> tuple[float, float]:
    """Return the relative worsening of a metric and its standard error."""
    sign = -1.0 if METRICS[metric].greater_is_better else 1.0

    def difference(rows: Target) -> float:
        old = score(task, target[rows], champion[rows])[metric]
        new = score(task, target[rows], challenger[rows])[metric]
        return sign * (new - old) / max(abs(old), 1e-9)

    everything = np.arange(len(target))
    generator = np.random.default_rng(seed)
    samples = [difference(generator.integers(0, len(target), len(target))) for _ in range(RESAMPLES)]
    return difference(everything), float(np.std(samples))


def unmet(conditions: Sequence[Condition]) -> list[Condition]:
    """Return the conditions that were not met."""
    return [condition for condition in conditions if not condition.met]

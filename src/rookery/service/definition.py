"""`Service`: the declarative, frozen definition of a prediction service."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from rookery.errors import DefinitionError
from rookery.fields.expression import Expression, Rule
from rookery.fields.schema import InputSchema, read_input_model
from rookery.service.dataset import Dataset
from rookery.service.metrics import METRICS
from rookery.service.policies import Cache, Gate, Limits, Rollout
from rookery.service.prediction import Prediction, respond_generically
from rookery.service.task import Classification, Regression, Task

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,62}")
"""What a service may be called: it becomes a URL's part, a folder's and a registered model's name."""

Respond = Callable[[Prediction], "Mapping[str, Any] | BaseModel"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Service:
    """A prediction service: what goes in, what comes out, how its model is trained and judged.

    Raises:
        DefinitionError: the parts contradict each other; the message names the part and the cure.
    """

    name: str
    input: type[BaseModel]
    """An ordinary pydantic model; its fields are the columns, in order."""
    task: Task
    output: type[BaseModel] | None = None
    """The answer's model, for documentation and checks; by default the task's generic shape."""
    respond: Respond = respond_generically
    """Turns one `Prediction` into the answer (a dict, or an instance of `output`)."""
    data: Callable[[], Dataset] | None = None
    candidates: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    """Unfitted estimators by name, the simplest first: ties are decided in this order."""
    derived: Mapping[str, Expression] = field(default_factory=dict)
    """Further features, computed inside the graph from columns and earlier derived features."""
    rules: Sequence[Rule] = ()
    metric: str = ""
    """What candidates are compared by; by default `f1_macro` or `rmse`."""
    gate: Gate = field(default_factory=Gate)
    seed: int = 0
    test_share: float = 0.2
    cross_validation: int = 0
    """Folds of a stratified cross-validation (0: none, unless the data is small)."""
    cross_validation_repeats: int = 1
    confidence_threshold: float | None = None
    """Classifications less sure than this carry a warning."""
    model_name: str = "{service}"
    """The model's name in answers; may use `{service}` and `{candidate}`."""
    title: str = ""
    description: str = ""
    version: str = "1.0.0"
    """The version of this definition, shown by `/info` and the API's documentation."""
    paths: Sequence[str] = ("/predict",)
    """Where single predictions are answered, below the service's prefix."""
    limits: Limits = field(default_factory=Limits)
    rollout: Rollout = field(default_factory=Rollout)
    cache: Cache = field(default_factory=Cache)
    schema: InputSchema = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schema", read_input_model(self.input))
        object.__setattr__(self, "metric", self.metric or self._default_metric())
        object.__setattr__(self, "candidates", dict(self.candidates))
        object.__setattr__(self, "derived", dict(self.derived))
        object.__setattr__(self, "rules", tuple(self.rules))
        object.__setattr__(self, "paths", tuple(self.paths))
        self._check_name()
        self._check_scores()
        self._check_expressions()
        self._check_paths()
        self._check_answers()

    def _default_metric(self) -> str:
        return "f1_macro" if isinstance(self.task, Classification) else "rmse"

    def _fail(self, message: str, cure: str) -> DefinitionError:
        return DefinitionError(f"{self.name}: {message}", cure=cure)

    def _check_name(self) -> None:
        if not NAME_PATTERN.fullmatch(self.name):
            raise DefinitionError(
                f"service name {self.name!r} cannot be a URL's part",
                cure="Use lower-case letters, digits, '-' and '_', beginning with a letter, 63 at most",
            )

    def _check_scores(self) -> None:
        for name in (self.metric, *self.gate.thresholds()):
            metric = METRICS.get(name)
            if metric is None or metric.task != self.task.kind:
                known = ", ".join(m.name for m in METRICS.values() if m.task == self.task.kind)
                raise self._fail(f"{name!r} is no metric of a {self.task.kind}", f"Choose from {known}")
        if not 0 < self.test_share < 1:
            raise self._fail(f"test_share={self.test_share} leaves no rows to fit or to test", "Choose 0.1 to 0.5")
        if self.confidence_threshold is not None and not isinstance(self.task, Classification):
            raise self._fail("a regression has no confidence to compare with a threshold", "Drop confidence_threshold")

    def _check_expressions(self) -> None:
        known = {column.name for column in self.schema.columns}
        for name, expression in self.derived.items():
            if name in known:
                raise self._fail(f"derived feature {name!r} has a column's name", "Give it a name of its own")
            self._check_columns(f"derived feature {name!r}", expression, known)
            known.add(name)
        inputs = {column.name for column in self.schema.columns}
        for rule in self.rules:
            self._check_columns(f"rule {rule.message!r}", rule.condition, inputs)
            unknown = sorted(set(rule.fields) - set(self.schema.model.model_fields))
            if unknown:
                raise self._fail(f"rule {rule.message!r} blames {unknown[0]!r}, which is no field", "Name input fields")

    def _check_columns(self, what: str, expression: Expression, known: set[str]) -> None:
        unknown = sorted(expression.column_names() - known)
        if unknown:
            raise self._fail(f"{what} reads {unknown[0]!r}, which is no column", f"Choose from {', '.join(sorted(known))}")

    def _check_paths(self) -> None:
        for path in self.paths:
            if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", path):
                raise self._fail(f"path {path!r} is no plain URL path", "For example '/predict'")
        if len(set(self.paths)) != len(self.paths):
            raise self._fail("a path is declared twice", "Name each path once")

    def _check_answers(self) -> None:
        """Answer one made-up prediction per label, so that a wrong `respond` or `output` fails here and not in service."""
        for prediction in self._sample_predictions():
            try:
                answer = self.respond(prediction)
                if self.output is not None:
                    self.output.model_validate(dict(answer))
            except Exception as error:
                raise self._fail(
                    f"respond() fails for the prediction {prediction.label or prediction.value!r}: {error}",
                    "Make respond() return what the output model allows for every label",
                ) from error

    def _sample_predictions(self) -> list[Prediction]:
        shared = {
            "request_id": "00000000-0000-7000-8000-000000000000",
            "model_name": self.resolve_model_name("candidate"),
            "version": "1",
        }
        if isinstance(self.task, Regression):
            return [Prediction(value=1.0, **shared)]
        labels = self.task.labels
        return [
            Prediction(
                class_id=index,
                label=label,
                confidence=1.0,
                probabilities={other: float(other == label) for other in labels},
                **shared,
            )
            for index, label in enumerate(labels)
        ]

    def resolve_model_name(self, candidate: str) -> str:
        """Return the model's name in answers when `candidate` was chosen."""
        return self.model_name.format(service=self.name, candidate=candidate)

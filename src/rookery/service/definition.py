"""`Service`: the declarative, frozen definition of a prediction service."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pydantic import BaseModel

from rookery.errors import DefinitionError
from rookery.fields.expression import Expression, Rule
from rookery.fields.hints import nearest
from rookery.fields.pictures.schema import read_service_input
from rookery.fields.schema import InputSchema
from rookery.service.answers import Respond, find_answer_fault, sample_predictions
from rookery.service.dataset import Dataset
from rookery.service.function import PictureFunction
from rookery.service.metrics import METRICS
from rookery.service.picture_prediction import respond_with_result
from rookery.service.policies import Cache, Gate, Limits, Rollout
from rookery.service.prediction import respond_generically
from rookery.service.pretrained import Pretrained
from rookery.service.task import Classification, Regression, Task

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,62}")
"""What a service may be called: it becomes a URL's part, a folder's and a registered model's name."""

CANDIDATE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""What a candidate may be called: it becomes a run's name and a part of the model's name."""

COMMON_PATHS = frozenset(
    {"/debug", "/docs", "/drift", "/feedback", "/health", "/healthz", "/info", "/livez", "/logs", "/metrics"}
    | {"/metrics-prometheus", "/metrics/memory", "/model/info", "/openapi.json", "/predict/batch", "/readyz", "/redoc"}
)
"""The paths that every service has, besides those where it predicts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Service:
    """A prediction service: what goes in, what comes out, how its model is trained and judged.

    Raises:
        DefinitionError: the parts contradict each other; the message names the part and the cure.
    """

    name: str
    input: type[BaseModel]
    """An ordinary pydantic model; its fields are the columns, in order."""
    task: Task | None = None
    """What the model answers; None for a `function`, whose answer is its own."""
    output: type[BaseModel] | None = None
    """The answer's model, for documentation and checks; by default the task's generic shape."""
    respond: Respond = respond_generically
    """Turns one `Prediction` into the answer (a dict, or an instance of `output`); by default all that is known."""
    data: Callable[[], Dataset] | None = None
    candidates: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    """Unfitted estimators by name, the simplest first: ties are decided in this order."""
    pretrained: Mapping[str, Pretrained] = field(default_factory=dict)
    """Weights that are fetched rather than trained, by the name of their architecture (`rookery pull`)."""
    function: PictureFunction | None = None
    """What answers instead of a model: called with the picture, uint8 [height, width(, 3)], and the parameters."""
    libraries: Sequence[str] = ()
    """Distributions that `function` computes with: with another version of one of them it is another function."""
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
    invalid_status: Literal[400, 422] = 422
    """How parameters that break their schema are answered: 422 with a list of problems, or 400 with a sentence."""
    limits: Limits = field(default_factory=Limits)
    rollout: Rollout = field(default_factory=Rollout)
    cache: Cache = field(default_factory=Cache)
    schema: InputSchema = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        try:
            schema = read_service_input(self.input, pixels=bool(self.candidates))
            object.__setattr__(self, "schema", schema)
        except DefinitionError as error:
            raise self._fail(error.message, error.cure) from error
        if self.function is None and not isinstance(cast(Any, self.task), (Classification, Regression)):
            raise self._fail(f"task={self.task!r:.50} is no task", "Give Classification('a', 'b') or Regression()")
        object.__setattr__(self, "metric", self.metric or self._default_metric())
        object.__setattr__(self, "candidates", dict(self.candidates))
        object.__setattr__(self, "pretrained", dict(self.pretrained))
        if self.function is not None and self.respond is respond_generically:
            object.__setattr__(self, "respond", respond_with_result)
        object.__setattr__(self, "libraries", tuple(self.libraries))
        object.__setattr__(self, "derived", dict(self.derived))
        object.__setattr__(self, "rules", tuple(self.rules))
        object.__setattr__(self, "paths", (self.paths,) if isinstance(self.paths, str) else tuple(self.paths))
        self._check_origin()
        self._check_training()
        self._check_scores()
        self._check_derived()
        self._check_rules()
        self._check_paths()
        self._check_answers()

    def _default_metric(self) -> str:
        if self.function is not None:
            return ""
        return "f1_macro" if isinstance(self.task, Classification) else "rmse"

    def _fail(self, message: str, cure: str) -> DefinitionError:
        return DefinitionError(f"{self.name}: {message}", cure=cure)

    def _check_origin(self) -> None:
        """Check that the model comes from one place, and that the input suits it."""
        has_picture = self.schema.picture is not None
        origins = {"candidates": self.candidates, "pretrained": self.pretrained, "function": self.function}
        given = [name for name, value in origins.items() if value]
        if len(given) > 1:
            raise self._fail(f"it declares {' and '.join(given)}", "A model has one origin: keep one of them")
        if not has_picture and (self.pretrained or self.function or self.invalid_status != 422):
            what = next((name for name in given if name != "candidates"), "invalid_status")
            raise self._fail(f"{what} is for services that take a picture", "Declare a field Annotated[bytes, Image()]")
        if self.function is not None and (self.task is not None or not callable(self.function)):
            raise self._fail("a function is no function, or has a task besides", "Give function=… and no task")
        if self.libraries and self.function is None:
            raise self._fail("libraries are those of a function", "Drop them")
        if has_picture and (self.derived or self.rules):
            raise self._fail("a picture has neither derived features nor rules", "Drop derived and rules")
        if self.pretrained and not isinstance(self.task, Classification):
            raise self._fail("pretrained weights answer a classification", "Give task=Classification(*labels)")
        if self.pretrained and self.schema.picture is not None and self.schema.picture.image.shape is None:
            raise self._fail("pretrained weights read pictures of one size", "Give Image(width=224, height=224)")

    def _check_training(self) -> None:
        if self.data is not None and not callable(self.data):
            raise self._fail("data is no function", "Give the function itself, which returns a Dataset: data=load_rows")
        if bool(self.candidates) != (self.data is not None):
            given, missing = ("data", "candidates") if self.data else ("candidates", "data")
            raise self._fail(f"it declares {given} and no {missing}", f"Add {missing}=…, or drop {given}")
        make: Any
        for name, make in self.candidates.items():
            if not CANDIDATE_PATTERN.fullmatch(str(name)):
                raise self._fail(f"candidate name {name!r} is no plain word", "Use letters, digits, '.', '-' and '_'")
            if not callable(make) or (hasattr(make, "fit") and not isinstance(make, type)):
                raise self._fail(
                    f"candidate {name!r} is no function that makes an estimator",
                    "Estimators are made when they are trained: a function, or lambda: Estimator(…)",
                )
        if not 0 < self.test_share < 1:
            raise self._fail(f"test_share={self.test_share} leaves no rows to fit or to test", "Choose 0.1 to 0.5")
        if not 0 <= self.seed < 2**32:
            raise self._fail(f"seed={self.seed} is no seed", "Choose a whole number from 0 to 4294967295")
        if self.cross_validation < 0 or self.cross_validation == 1:
            raise self._fail(f"cross_validation={self.cross_validation} compares nothing", "Choose 0, or 2 or more")
        if self.cross_validation_repeats < 1:
            raise self._fail("cross_validation_repeats is below 1", "Choose 1 or more")

    def _check_scores(self) -> None:
        if self.task is None:
            if self.metric or self.gate.thresholds() or self.confidence_threshold is not None:
                raise self._fail("a function has no scores", "Drop metric, gate and confidence_threshold")
            return
        for name in (self.metric, *self.gate.thresholds()):
            metric = METRICS.get(name)
            if metric is None or metric.task != self.task.kind:
                known = ", ".join(m.name for m in METRICS.values() if m.task == self.task.kind)
                raise self._fail(f"{name!r} is no metric of a {self.task.kind}", f"Choose from {known}")
        threshold = self.confidence_threshold
        if threshold is None:
            return
        if not isinstance(self.task, Classification):
            raise self._fail("a regression has no confidence to compare with a threshold", "Drop confidence_threshold")
        if not 0 < threshold <= 1:
            raise self._fail(f"confidence_threshold={threshold} is no probability", "Choose between 0 and 1")

    def _check_derived(self) -> None:
        known = {column.name for column in self.schema.columns}
        taken = known | set(self.schema.model.model_fields)
        for name, expression in self.derived.items():
            what = f"derived feature {name!r}"
            if name in taken or not str(name).strip():
                raise self._fail(f"{what} has the name of a column, or none", "Give it a name of its own")
            if not isinstance(cast(Any, expression), Expression):
                raise self._fail(
                    f"{what} is {expression!r:.50}, not an expression", "Write it over columns: col('a') / col('b')"
                )
            if not expression.column_names():
                raise self._fail(f"{what} reads no column", "A constant tells a model nothing: drop it")
            self._check_columns(what, expression, known)
            known.add(name)

    def _check_rules(self) -> None:
        columns = {column.name for column in self.schema.columns}
        for rule in self.rules:
            if not isinstance(cast(Any, rule), Rule):
                raise self._fail(
                    f"{rule!r:.50} is no rule", "Write Rule(col('a') <= col('b'), 'a cannot be larger than b')"
                )
            self._check_columns(f"rule {rule.message!r}", rule.condition, columns)
            unknown = sorted(set(rule.fields) - set(self.schema.model.model_fields))
            if unknown:
                raise self._fail(f"rule {rule.message!r} blames {unknown[0]!r}, which is no field", "Name input fields")

    def _check_columns(self, what: str, expression: Expression, known: set[str]) -> None:
        unknown = sorted(expression.column_names() - known)
        if unknown:
            close = nearest(unknown[0], known)
            cure = f"Did you mean {close!r}?" if close else f"Choose from {', '.join(sorted(known))}"
            raise self._fail(f"{what} reads {unknown[0]!r}, which is no column", cure)

    def _check_paths(self) -> None:
        if not self.paths:
            raise self._fail("it has no path to answer at", "Drop paths=, which leaves '/predict'")
        for path in self.paths:
            if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", path):
                raise self._fail(f"path {path!r} is no plain URL path", "For example '/predict'")
            if path in COMMON_PATHS:
                raise self._fail(f"path {path!r} has its meaning in every service", "Choose another")
        if len(set(self.paths)) != len(self.paths):
            raise self._fail("a path is declared twice", "Name each path once")

    def _check_answers(self) -> None:
        """Answer one made-up prediction per label, so that a wrong `respond` or `output` fails here, not in service."""
        output: Any = self.output
        if output is not None and not (isinstance(output, type) and issubclass(output, BaseModel)):
            raise self._fail(f"output={self.output!r:.50} is no pydantic model", "Derive it from pydantic.BaseModel")
        try:
            predictions = sample_predictions(self.task, self.resolve_model_name("candidate"), self.schema.picture)
        except (KeyError, IndexError, ValueError) as error:
            raise self._fail(
                f"model_name {self.model_name!r} cannot be filled in ({error})", "Use {service} and {candidate} only"
            ) from error
        for prediction in predictions:
            fault = find_answer_fault(self.respond, self.output, prediction)
            if fault:
                what = prediction.value if prediction.label is None else prediction.label
                raise self._fail(
                    f"the answer to the prediction {what!r} fails: {fault}",
                    "Make respond() return, for every label, JSON values that the output model allows",
                )

    def require_task(self) -> Task:
        """Return the task.

        Raises:
            DefinitionError: the service is a function and has none.
        """
        if self.task is None:
            raise self._fail("a function has no task", "Only models are trained, judged and exported")
        return self.task

    def resolve_model_name(self, candidate: str) -> str:
        """Return the model's name in answers when `candidate` was chosen."""
        return self.model_name.format(service=self.name, candidate=candidate)


def check_name(name: str) -> None:
    """Raise DefinitionError unless a service may be called so."""
    if not isinstance(cast(Any, name), str) or not NAME_PATTERN.fullmatch(name):
        raise DefinitionError(
            f"service name {name!r:.100} cannot be a URL's part",
            cure="Use lower-case letters, digits, '-' and '_', beginning with a letter, 63 at most",
        )
    if name in {path.split("/")[1] for path in COMMON_PATHS}:
        raise DefinitionError(
            f"service name {name!r} is a path of the server's own when several services share it",
            cure="Choose another name",
        )

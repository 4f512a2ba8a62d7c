"""`/info`: what a service is, what it takes, and where its model comes from."""

from __future__ import annotations

import json
import math
from itertools import groupby
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from rookery.fields.columns import Column
from rookery.pipeline.endpoint import LoadedVersion
from rookery.service.contract import Contract
from rookery.service.task import Classification, Regression, Task
from rookery.serving.mount import Mount
from rookery.serving.responses import JsonResponse
from rookery.serving.site import Site

SYNTHETIC_NOTICE = "trained on synthetic data"


class TaskInfo(msgspec.Struct, omit_defaults=True):
    """What the model answers: one of `labels`, or a number in `unit`."""

    kind: str
    labels: list[str] | None = None
    unit: str | None = None


class InputInfo(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One field of the input."""

    name: str
    type: str
    required: bool
    length: int | None = None
    """Of a vector: how many numbers it has; its elements share what is said here."""
    unit: str | None = None
    title: str | None = None
    description: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    categories: list[str | int | bool] | None = None
    optional: bool = False
    """Whether null is allowed."""
    default: Any = None
    example: Any = None
    seen_minimum: float | None = None
    """The smallest value in the training data; values outside carry a warning."""
    seen_maximum: float | None = None


class LimitInfo(msgspec.Struct):
    """What one request may cost."""

    body_bytes: int
    rows: int
    deadline_seconds: float
    concurrency: int


class PictureInfo(msgspec.Struct):
    """The picture that a request sends, and what the model reads of it."""

    field: str
    formats: list[str]
    max_pixels: int
    width: int | None
    """Of the fitted picture; null: pictures keep their size."""
    height: int | None
    mode: str
    fit: str
    shorter_side: int | None


class RunInfo(msgspec.Struct):
    """How the model runs here."""

    device: str
    batch_rows: int
    """Rows that are run together at most, as measured when the model was loaded."""
    runs: int
    """Runs that may be under way at once in one worker."""
    single_run_ms: float | None
    light: bool
    """Whether calls are answered in the event loop."""
    cached: bool
    """Whether answers are kept and shared."""


class Info(msgspec.Struct, kw_only=True):
    """Everything a user of a service may want to know of it."""

    name: str
    service: str
    title: str
    description: str
    definition_version: str
    contract: str
    environment: str
    model_name: str | None
    version: str | None
    canary_percentage: int
    """The share of predictions that `version` answers."""
    task: TaskInfo
    labels: list[str] | None
    inputs: list[InputInfo]
    """Columns, or the parameters beside a picture."""
    picture: PictureInfo | UnsetType = UNSET
    parameter_count: int | UnsetType = UNSET
    """Of a neural network: how many weights it has."""
    configuration: RunInfo | UnsetType = UNSET
    rules: list[str]
    confidence_threshold: float | None
    limits: LimitInfo
    aliases: dict[str, str]
    versions: list[str]
    """The versions that are loaded."""
    candidate: str | None
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    content_digest: str | None
    synthetic: bool
    notice: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class ShowInfo:
    """`GET /info` of one service."""

    def __init__(self, site: Site, mount: Mount) -> None:
        self._site = site
        self._mount = mount

    async def __call__(self, _: Request) -> Response:
        """Answer with what is loaded now."""
        return JsonResponse(describe_service(self._mount, environment=self._site.settings.environment))


def describe_service(mount: Mount, *, environment: str) -> Info:
    """Return everything that is known of a service and of the version that serves by default."""
    endpoint = mount.endpoint
    contract, champion = endpoint.contract, endpoint.champion
    manifest = None if champion is None else champion.package.manifest
    dataset = None if manifest is None else manifest.provenance.dataset
    is_synthetic = dataset is not None and dataset.synthetic
    limits = contract.limits
    scores = {} if champion is None else read_scores(champion)
    weights = scores.get("parameters")
    return Info(
        name=contract.name,
        service=contract.name,
        title=contract.title,
        description=contract.description,
        definition_version=contract.definition_version,
        contract=contract.kind,
        environment=environment,
        model_name=None if champion is None else champion.model_name,
        version=None if champion is None else champion.version,
        canary_percentage=mount.champion_share,
        task=_describe_task(contract.task),
        labels=list(contract.task.labels) if isinstance(contract.task, Classification) else None,
        inputs=describe_inputs(contract, champion),
        picture=_describe_picture(contract),
        parameter_count=weights if isinstance(weights, int) else UNSET,
        configuration=UNSET if champion is None else _describe_run(mount, champion),
        rules=[rule.message for rule in contract.rules],
        confidence_threshold=contract.confidence_threshold,
        limits=LimitInfo(limits.body_bytes, limits.rows, limits.deadline_seconds, limits.concurrency),
        aliases=dict(endpoint.aliases),
        versions=sorted(endpoint.versions),
        candidate=None if manifest is None else manifest.candidate or None,
        metrics=scores,
        provenance={} if manifest is None else manifest.provenance.model_dump(mode="json"),
        content_digest=None if manifest is None else manifest.content_digest,
        synthetic=is_synthetic,
        notice=SYNTHETIC_NOTICE if is_synthetic else UNSET,
        reason=endpoint.reason or UNSET,
    )


def read_scores(version: LoadedVersion) -> dict[str, Any]:
    """Return the package's `metrics.json`; empty if it cannot be read any more."""
    try:
        scores = json.loads((version.package.directory / "metrics.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return scores if isinstance(scores, dict) else {}


def _describe_task(task: Task | None) -> TaskInfo:
    if task is None:
        return TaskInfo("function")
    if isinstance(task, Regression):
        return TaskInfo("regression", unit=task.unit)
    return TaskInfo("classification", labels=list(task.labels))


def _describe_picture(contract: Contract) -> PictureInfo | UnsetType:
    field = contract.schema.picture
    if field is None:
        return UNSET
    image = field.image
    return PictureInfo(
        field=field.name,
        formats=list(image.formats),
        max_pixels=image.max_pixels,
        width=image.width,
        height=image.height,
        mode=image.mode,
        fit=image.fit,
        shorter_side=image.shorter_side,
    )


def _describe_run(mount: Mount, champion: LoadedVersion) -> RunInfo:
    seconds = champion.run_seconds
    return RunInfo(
        device=champion.device,
        batch_rows=champion.batch_rows,
        runs=mount.runs,
        single_run_ms=round(seconds * 1e3, 3) if math.isfinite(seconds) else None,
        light=mount.is_light,
        cached=mount.contract.cache.enabled,
    )


def describe_inputs(contract: Contract, champion: LoadedVersion | None) -> list[InputInfo]:
    """Return the input's fields in order; the elements of a vector make one field. Of a picture: its parameters."""
    columns = contract.schema.columns
    seen: dict[str, tuple[float, float]] = {}
    if contract.schema.picture is not None:
        parameters = contract.schema.picture.parameters
        columns = () if parameters is None else parameters.columns
    elif champion is not None:
        low, high = champion.low.tolist(), champion.high.tolist()
        seen = {column.name: bounds for column, *bounds in zip(columns, low, high, strict=True)}  # type: ignore[misc]
    fields = groupby(columns, key=lambda column: column.field)
    return [_describe_field(name, list(parts), seen) for name, parts in fields]


def _describe_field(name: str, columns: list[Column], seen: dict[str, tuple[float, float]]) -> InputInfo:
    first = columns[0]
    is_vector = first.element is not None
    bounds = [seen[column.name] for column in columns if column.name in seen]
    finite = [pair for pair in bounds if all(abs(bound) != float("inf") for bound in pair)]
    return InputInfo(
        name=name,
        type="vector" if is_vector else first.kind,
        required=first.required,
        length=len(columns) if is_vector else None,
        unit=first.unit,
        title=first.title,
        description=first.description,
        minimum=first.minimum,
        maximum=first.maximum,
        exclusive_minimum=first.exclusive_minimum,
        exclusive_maximum=first.exclusive_maximum,
        categories=list(first.categories) or None,
        optional=first.optional,
        default=first.default,
        example=[column.example for column in columns] if is_vector else first.example,
        seen_minimum=_shortest(min(pair[0] for pair in finite)) if finite else None,
        seen_maximum=_shortest(max(pair[1] for pair in finite)) if finite else None,
    )


def _shortest(value: float) -> float:
    """Return the shortest decimal that is the same float32, as people wrote it in the data."""
    return float(f"{value:.7g}")

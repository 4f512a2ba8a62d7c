"""`Manifest`: everything a server must know of a package besides its graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PydanticUserError, ValidationError, model_validator

from rookery.errors import DefinitionError, PackageError, RookeryError
from rookery.fields.columns import Column
from rookery.fields.pictures.schema import rebuild_picture_schema
from rookery.fields.schema import InputSchema, PictureField, rebuild_schema
from rookery.package.digests import readable_json
from rookery.package.files import read_package_file
from rookery.package.parts import JsonColumn, JsonExpression, JsonImage, JsonRule, Part
from rookery.service.policies import Limits
from rookery.service.task import Classification, Regression, Task

FORMAT = 1
"""The package format that this release writes, and the newest it reads."""
MANIFEST_FILE = "manifest.json"
MANIFEST_BYTES = 4 << 20

_SHA256 = r"^[0-9a-f]{64}$"


class ClassificationTask(Part):
    """One of several labels."""

    kind: Literal["classification"] = "classification"
    labels: tuple[str, ...]


class RegressionTask(Part):
    """One number, perhaps of a unit."""

    kind: Literal["regression"] = "regression"
    unit: str | None = None


class TensorSpec(Part):
    """A named tensor of the graph; an open dimension (the number of rows) is None."""

    name: str
    dtype: str = "float32"
    shape: tuple[int | None, ...]


class Tensors(Part):
    """The graph's one input, and its outputs by role: `probabilities` [N, labels] or `value` [N] or [N, 1]."""

    input: TensorSpec
    outputs: dict[str, TensorSpec]


class DerivedFeature(Part):
    """A feature that the graph computes; for readers, as the graph already holds it."""

    name: str
    expression: JsonExpression


class PictureSpec(Part):
    """The picture that requests send, how it becomes pixels, and what may be sent beside it."""

    field: str
    image: JsonImage
    parameters: tuple[JsonColumn, ...] = ()
    description: str = ""


class InputSpec(Part):
    """What one row is made of: columns in their order, the rules every row must meet, the features derived from it.

    Of a picture, the columns are its pixels; without columns the graph reads the pixels as uint8
    [N, height, width, channels].
    """

    json_schema: dict[str, Any]
    columns: tuple[JsonColumn, ...]
    picture: PictureSpec | None = None
    rules: tuple[JsonRule, ...] = ()
    derived: tuple[DerivedFeature, ...] = ()


class DatasetFacts(Part):
    """Which rows trained the model: their digest, how many, from where, and how they were split."""

    digest: str
    rows: int
    source: str = ""
    synthetic: bool = False
    splits: dict[str, int] = Field(default_factory=dict)


class Provenance(Part):
    """Where a package comes from; nothing in it takes part in the content digest."""

    created_at: str
    """UTC, ISO 8601."""
    dataset: DatasetFacts | None = None
    seed: int | None = None
    git_commit: str | None = None
    libraries: dict[str, str] = Field(default_factory=dict)
    parent_run: str | None = None


class FileEntry(Part):
    """A file's digest and its size in bytes."""

    sha256: str = Field(pattern=_SHA256)
    size: int = Field(ge=0)


class Manifest(Part):
    """A package's manifest. `content_digest` and `files` are filled by `write_package`."""

    format: int = FORMAT
    kind: Literal["onnx", "function"] = "onnx"
    """`onnx`: the graph answers; `function`: the service's own code does, and `code_digest` says which."""
    service: str
    title: str = ""
    description: str = ""
    definition_version: str = "1.0.0"
    model_name: str
    """What answers call the model."""
    candidate: str = ""
    """The candidate that was chosen."""
    task: Annotated[ClassificationTask | RegressionTask, Field(discriminator="kind")] | None
    input: InputSpec
    confidence_threshold: float | None = None
    limits: Limits = Limits()
    tensors: Tensors | None = None
    provenance: Provenance
    code_digest: str | None = Field(default=None, pattern=_SHA256)
    content_digest: str = Field(default="", pattern=rf"^$|{_SHA256}")
    files: dict[str, FileEntry] = Field(default_factory=dict)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The input's columns, in the order of a row."""
        return self.input.columns

    def task_object(self) -> Task | None:
        """Return the task as services declare it; None for a function, which has none."""
        if isinstance(self.task, ClassificationTask):
            return Classification(*self.task.labels)
        if isinstance(self.task, RegressionTask):
            return Regression(self.task.unit)
        return None

    def require_task(self) -> Task:
        """Return the task.

        Raises:
            PackageError: the package is a function and has none.
        """
        task = self.task_object()
        if task is None:
            raise PackageError(f"{self.service}: a package of kind {self.kind!r} has no task")
        return task

    def input_schema(self) -> InputSchema:
        """Return the strict input model that the columns describe, with its columns.

        Raises:
            PackageError: the columns make no input model.
        """
        title = self.input.json_schema.get("title")
        name = title if isinstance(title, str) and title.isidentifier() else "Input"
        picture = self.input.picture
        try:
            if picture is None:
                return rebuild_schema(name, self.columns)
            field = PictureField(picture.field, picture.image, description=picture.description)
            return rebuild_picture_schema(name, field, self.columns, picture.parameters)
        except DefinitionError as error:
            raise PackageError(f"{MANIFEST_FILE}: input: {error.message}", cure=error.cure) from error
        except (PydanticUserError, LookupError, NameError, TypeError, ValueError) as error:
            # Names and defaults that no definition could have produced: pydantic itself refuses the model.
            raise PackageError(f"{MANIFEST_FILE}: input: the columns make no input model: {error}") from error

    def to_json(self) -> bytes:
        """Return the bytes of `manifest.json`.

        Raises:
            PackageError: a default, an example or a schema holds what JSON does not know.
        """
        return readable_json(self.model_dump())

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> list[str]:
        names = [column.name for column in self.columns]
        problems = [f"column {name!r} is declared twice" for name in names if names.count(name) > 1]
        known = set(names)
        for rule in self.input.rules:
            problems += [f"a rule reads {name!r}, which is no column" for name in rule.condition.column_names() - known]
        for feature in self.input.derived:
            unknown = sorted(feature.expression.column_names() - known)
            problems += [f"derived feature {feature.name!r} reads {name!r}, which is no column" for name in unknown]
            known.add(feature.name)
        if self.kind == "function":
            if not self.code_digest:
                problems.append("a function's package names its code_digest")
            if self.input.picture is None or self.columns:
                problems.append("a function reads a picture, and no columns")
            return problems
        return problems + self._graph_problems()

    def _graph_problems(self) -> list[str]:
        """Say where the tensors do not fit the columns and the task."""
        if self.task is None or self.tensors is None:
            return ["a package with a graph declares its task and its tensors"]
        role, shapes = "value", [(None,), (None, 1)]
        if isinstance(self.task, ClassificationTask):
            if len(set(self.task.labels)) < max(2, len(self.task.labels)):
                return ["a classification has at least two labels, each named once"]
            role, shapes = "probabilities", [(None, len(self.task.labels))]
        if list(self.tensors.outputs) != [role]:
            return [f"a {self.task.kind}'s one output is {role!r}, not {sorted(self.tensors.outputs)}"]
        problems = []
        if self.tensors.outputs[role].shape not in shapes:
            problems.append(f"output {role!r} has shape {self.tensors.outputs[role].shape}, expected {shapes[0]}")
        dtype, shape = self._expected_input()
        if shape and self.tensors.input.shape != shape:
            problems.append(f"input has shape {self.tensors.input.shape}, expected {shape}")
        if "uint8" in (dtype, self.tensors.input.dtype) and self.tensors.input.dtype != dtype:
            problems.append(f"input is {self.tensors.input.dtype}, expected {dtype}")
        return problems

    def _expected_input(self) -> tuple[str, tuple[int | None, ...]]:
        """Return the type and shape of the graph's input that the columns or the picture ask for."""
        if self.columns or self.input.picture is None:
            return "float32", (None, len(self.columns)) if self.columns else ()
        return "uint8", (None, *(self.input.picture.image.shape or ()))


def parse_manifest(data: bytes) -> Manifest:
    """Read the bytes of a `manifest.json`.

    Raises:
        PackageError: it is no JSON, of a newer format, or not a manifest; the message names the entry.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{MANIFEST_FILE}: not JSON: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise PackageError(f"{MANIFEST_FILE}: no package format is named", cure="This is not a Rookery package")
    if found > FORMAT:
        raise PackageError(
            f"{MANIFEST_FILE}: the package has format {found}, this release reads up to {FORMAT}",
            cure="Upgrade Rookery, or train the package again with this release",
        )
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise PackageError(f"{MANIFEST_FILE}: {where}: {first['msg']}") from error
    except RookeryError as error:
        raise PackageError(f"{MANIFEST_FILE}: {error.message}", cure=error.cure) from error


def read_manifest(directory: Path) -> Manifest:
    """Read a package's manifest alone; nothing else of the package is verified.

    Raises:
        PackageError: there is none, it is a link, or it is not a manifest.
    """
    return parse_manifest(read_package_file(directory, MANIFEST_FILE, limit=MANIFEST_BYTES))

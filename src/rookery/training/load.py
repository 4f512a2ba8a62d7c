"""Loading: a service's `data()` read, validated row by row, and encoded as the service encodes requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from rookery.errors import DataError
from rookery.fields.encoder import Encoder
from rookery.fields.problems import describe_problems, overflow_problem, rule_problem
from rookery.fields.rules import broken_rules
from rookery.service.dataset import Dataset
from rookery.service.definition import Service
from rookery.training.check import check_columns, check_count
from rookery.training.rows import Matrix, Target, canonical_rows
from rookery.training.target import encode_target

CHUNK_ROWS = 10_000
"""Rows validated at a time: their input objects need far more memory than the matrix they become."""
SHOWN_PROBLEMS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """Training rows as the model sees them."""

    matrix: Matrix
    """float32 [n, width], encoded exactly as requests are."""
    target: Target
    """int64 class indices [n] (classification) or float64 values [n] (regression)."""
    digest: str
    """SHA-256 over the encoded columns and the target, with their names: equal rows in equal order, equal digest."""
    source: str = ""
    synthetic: bool = False
    notes: tuple[str, ...] = field(default=())
    """What a reader of the model card should know of the rows; nothing that stops training."""

    @property
    def rows(self) -> int:
        """The number of training rows."""
        return len(self.matrix)


def load_training_data(service: Service) -> TrainingData:
    """Call the service's `data()` and hold every row against the service's own input model and rules.

    Raises:
        DataError: columns are missing, a row would be refused as a request, the target has values that are missing
            or no labels of the task, or there is nothing to learn from (too few rows, a constant column, a class
            or category without rows). The message names the column, the rows and the cure.
    """
    dataset = _call(service)
    columns = _pick_columns(service, dataset)
    rows = _count_rows(service, columns)
    check_count(service.name, rows)
    target = encode_target(service.name, service.require_task(), dataset.target, rows=rows)
    matrix = _encode(service, columns)
    schema, task = service.schema, service.require_task()
    notes = check_columns(service.name, schema.columns, task, matrix, target, are_pixels=schema.picture is not None)
    return TrainingData(
        matrix=matrix,
        target=target,
        digest=digest_rows(service, matrix, target),
        source=dataset.source,
        synthetic=dataset.synthetic,
        notes=tuple(notes),
    )


def digest_rows(service: Service, matrix: Matrix, target: Target) -> str:
    """Return the SHA-256 of encoded rows and target; missing values and zeros have one spelling each."""
    digest = hashlib.sha256()
    digest.update(json.dumps([column.name for column in service.schema.columns]).encode())
    digest.update(json.dumps([service.require_task().kind, len(matrix)]).encode())
    digest.update(canonical_rows(matrix).tobytes())
    digest.update(np.ascontiguousarray(target.astype("<f8") + 0.0).tobytes())
    return digest.hexdigest()


def _call(service: Service) -> Dataset:
    if service.data is None:
        raise DataError(f"{service.name} declares no data", cure="Give the service a function: data=load_rows")
    dataset = service.data()
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"{service.name}: data() returned {type(dataset).__name__}", cure="Return Dataset(columns=…, target=…)"
        )
    return dataset


def _pick_columns(service: Service, dataset: Dataset) -> dict[str, Sequence[Any]]:
    """Return the input fields' values as lists; a vector may be one column, or one per element (`features[0]`, …).

    A field that the data lacks is an error even if it has a default: the model would never see it vary.
    """
    names = [str(name) for name in dataset.columns]
    fields = list(service.schema.model.model_fields)
    elements = {
        name: [column.name for column in service.schema.columns if column.field == name and column.name != name]
        for name in fields
    }
    apart = [name for name in fields if name not in names and elements[name] and set(elements[name]) <= set(names)]
    missing = [name for name in fields if name not in names and name not in apart]
    if missing:
        close = get_close_matches(missing[0], [name for name in names if name not in fields], n=1)
        hint = f"is it {close[0]!r}? " if close else ""
        raise DataError(
            f"{service.name}: the training data has no column {', '.join(map(repr, missing))} ({hint}"
            f"it has {', '.join(names[:30])})",
            cure="Name the columns as the input model's fields",
        )
    return {
        name: list(zip(*(_as_list(dataset.columns[element]) for element in elements[name]), strict=True))
        if name in apart
        else _as_list(dataset.columns[name])
        for name in fields
    }


def _as_list(values: Any) -> Sequence[Any]:
    """Return a column as plain Python values, whether it is a list, an array or a data frame's column."""
    to_list: Callable[[], list[Any]] | None = getattr(values, "tolist", None) or getattr(values, "to_list", None)
    return to_list() if to_list is not None else list(values)


def _count_rows(service: Service, columns: dict[str, Sequence[Any]]) -> int:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"{service.name}: the columns differ in length ({counts})", cure="Give every row every column")
    return next(iter(lengths.values()))


def _encode(service: Service, columns: dict[str, Sequence[Any]]) -> Matrix:
    rows = _count_rows(service, columns)
    encoder = Encoder(service.schema)
    problems = _Problems(service, rows)
    parts = [
        _encode_chunk(service, encoder, columns, range(start, min(start + CHUNK_ROWS, rows)), problems)
        for start in range(0, rows, CHUNK_ROWS)
    ]
    problems.raise_if_any()
    return np.concatenate(parts)


def _encode_chunk(
    service: Service, encoder: Encoder, columns: dict[str, Sequence[Any]], span: range, problems: _Problems
) -> Matrix:
    validate = service.schema.model.__pydantic_validator__.validate_json
    integers = frozenset(column.field for column in service.schema.columns if column.kind == "integer")
    objects: list[BaseModel] = []
    places: list[int] = []
    for row in span:
        try:
            values = {name: _to_json(column[row], name in integers) for name, column in columns.items()}
            # Through JSON, as a request comes: a row that trains the model is a row the service would accept.
            objects.append(validate(json.dumps(values)))
            places.append(row)
        except ValidationError as error:
            problems.add(row, describe_problems(error, service.schema, prefix=())[0])
        except TypeError as error:
            problems.add(row, {"loc": (), "msg": f"a value that JSON does not know: {error}"})
    matrix = encoder.encode_rows(objects)
    for index in encoder.overflowing(matrix):
        problems.add(places[int(index)], overflow_problem(service.schema, objects[index]))
    for index, rule in broken_rules(service.rules, service.schema, matrix):
        problems.add(places[index], rule_problem(rule, objects[index]))
    return matrix


def _to_json(value: Any, is_integer: bool) -> Any:
    """Return a training value as a request would spell it: missing is null, 2007.0 of an integer field is 2007."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        if value != value:
            return None
        return int(value) if is_integer and value.is_integer() else value
    if isinstance(value, (list, tuple)):
        return [_to_json(element, is_integer) for element in value]
    if value is None or isinstance(value, (str, int)):
        return value
    # The missing markers of data frames (pandas.NA, NaT) are neither None nor floats, and unequal to themselves.
    return None if repr(value) in ("<NA>", "NaT") else getattr(value, "value", value)


class _Problems:
    """Collects the rows that would be refused, and says so once, with the first few of them."""

    def __init__(self, service: Service, rows: int) -> None:
        self._service = service
        self._rows = rows
        self._first: dict[int, str] = {}
        self._count = 0

    def add(self, row: int, problem: dict[str, Any]) -> None:
        """Note one problem of a row; of several, the first is shown."""
        if row in self._first:
            return
        self._count += 1
        if self._count <= SHOWN_PROBLEMS:
            where = ".".join(str(part) for part in problem["loc"])
            self._first[row] = f"row {row}{' ' + where if where else ''}: {problem['msg']}"

    def raise_if_any(self) -> None:
        if not self._count:
            return
        shown = "; ".join(self._first.values())
        more = f"; and {self._count - len(self._first)} more" if self._count > len(self._first) else ""
        raise DataError(
            f"{self._service.name}: {self._count} of {self._rows} rows would be refused as requests ({shown}{more})",
            cure="Correct or drop them in data(), or widen the input model or its rules",
        )

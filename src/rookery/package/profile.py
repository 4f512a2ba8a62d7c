"""`Profile`: the training data's distribution per input and output, the reference that drift is measured against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rookery.errors import PackageError
from rookery.fields.columns import Column
from rookery.package.digests import canonical_json
from rookery.service.task import Classification, Task

Values = npt.NDArray[np.float32]

NUMERIC_BINS = 20
"""Bins of about equal counts for a number."""
COUNTED_INTEGERS = 50
"""An integer column of so few different values is counted by value."""
CONFIDENCE_EDGES = tuple(round(step * 0.05, 2) for step in range(21))
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class Part(BaseModel):
    """A part of a profile: frozen, finite, of exactly the declared fields and types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Numeric(Part):
    """A number's distribution.

    `edges` (ascending, k of them) make k + 1 bins: bin 0 holds values below `edges[0]`, bin i those with
    `edges[i-1] <= value < edges[i]`, bin k those from `edges[-1]` on. For numbers the two open ends hold no row of
    the training data by construction: whatever falls there lies outside what was seen.
    """

    kind: Literal["numeric"] = "numeric"
    name: str
    count: int
    """Rows with a value; the statistics below are theirs, and None where there is none."""
    missing: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    """Population standard deviation."""
    quantiles: dict[str, float]
    """By share: `"0.05"` is the value that 5 % of the rows do not exceed (linear interpolation)."""
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _check_bins(self) -> Self:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("there must be one bin more than edges")
        if any(left >= right for left, right in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges must ascend")
        return self

    def tally(self, values: npt.NDArray[np.floating[Any]]) -> list[int]:
        """Count values [n] per bin, missing ones (NaN) left out; comparable with `counts`."""
        present = values[~np.isnan(values)].astype(np.float64)
        return _tally(present, self.edges)


class Categorical(Part):
    """A category's, boolean's or label's distribution: how often each code occurred."""

    kind: Literal["categorical"] = "categorical"
    name: str
    count: int
    missing: int
    categories: tuple[str | int | bool, ...]
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if len(self.counts) != len(self.categories):
            raise ValueError("there must be one count per category")
        return self

    def tally(self, values: npt.NDArray[np.floating[Any]]) -> list[int]:
        """Count codes [n] per category, missing ones (NaN) left out; comparable with `counts`."""
        return _count_codes(values, len(self.categories))


Distribution = Annotated[Numeric | Categorical, Field(discriminator="kind")]


class Profile(Part):
    """The reference distributions of a package: one per column, in the order of a row, and one per output.

    Outputs are `label` (categorical) and `confidence` (numeric, 20 equal bins from 0 to 1) of a classification,
    or `value` (numeric) of a regression, all as the exported graph answers the rows of the profile.
    """

    format: Literal[1] = 1
    rows: int
    columns: tuple[Distribution, ...]
    outputs: tuple[Distribution, ...]

    def to_json(self) -> bytes:
        """Return the bytes of `profile.json`; the same rows always give the same bytes."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, data: bytes) -> Profile:
        """Read the bytes of a `profile.json`.

        Raises:
            PackageError: they are no profile; the message names the entry.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "profile"
            raise PackageError(f"profile.json: {where}: {first['msg']}") from error

    def ranges(self) -> tuple[Values, Values]:
        """Return the lowest and highest training value per column, float32 [columns] each.

        Categories, booleans and columns without any value are unbounded (-inf, inf).
        """
        low, high = np.full(len(self.columns), -np.inf, np.float32), np.full(len(self.columns), np.inf, np.float32)
        for index, column in enumerate(self.columns):
            if isinstance(column, Numeric) and column.minimum is not None and column.maximum is not None:
                low[index], high[index] = column.minimum, column.maximum
        return low, high

    def output(self, name: str) -> Numeric | Categorical | None:
        """Return an output's distribution, None when the task has no such output."""
        return next((output for output in self.outputs if output.name == name), None)


def make_profile(columns: Sequence[Column], matrix: Values, outputs: Values, task: Task) -> Profile:
    """Describe training rows, float32 [n, columns], and the graph's answers to them ([n, labels] or [n])."""
    described = [_describe_column(column, matrix[:, index]) for index, column in enumerate(columns)]
    answers: list[Numeric | Categorical]
    if isinstance(task, Classification):
        labels, confidence = outputs.argmax(axis=1).astype(np.float32), outputs.max(axis=1)
        answers = [
            _describe_codes("label", task.labels, labels),
            _describe_number("confidence", confidence, edges=CONFIDENCE_EDGES),
        ]
    else:
        answers = [_describe_number("value", outputs.reshape(-1))]
    return Profile(rows=len(matrix), columns=tuple(described), outputs=tuple(answers))


def _describe_column(column: Column, values: Values) -> Numeric | Categorical:
    if column.kind == "category":
        return _describe_codes(column.name, column.categories, values)
    if column.kind == "boolean":
        return _describe_codes(column.name, (False, True), values)
    return _describe_number(column.name, values, is_integer=column.kind == "integer")


def _describe_codes(name: str, categories: Sequence[str | int | bool], values: Values) -> Categorical:
    missing = int(np.isnan(values).sum())
    return Categorical(
        name=name,
        count=len(values) - missing,
        missing=missing,
        categories=tuple(categories),
        counts=tuple(_count_codes(values, len(categories))),
    )


def _describe_number(
    name: str, values: Values, *, is_integer: bool = False, edges: Sequence[float] | None = None
) -> Numeric:
    present = np.sort(values[~np.isnan(values)]).astype(np.float64)
    if edges is None:
        edges = _choose_edges(present, is_integer=is_integer)
    mean, std = _mean_and_std(present)
    quantiles = np.quantile(present, QUANTILES).tolist() if len(present) else []
    return Numeric(
        name=name,
        count=len(present),
        missing=len(values) - len(present),
        minimum=float(present[0]) if len(present) else None,
        maximum=float(present[-1]) if len(present) else None,
        mean=mean,
        std=std,
        quantiles=dict(zip(map(str, QUANTILES), quantiles, strict=False)),
        edges=tuple(edges),
        counts=tuple(_tally(present, edges)),
    )


def _mean_and_std(present: npt.NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return mean and population standard deviation by exact summation: no digit depends on the processor."""
    if not len(present):
        return None, None
    mean = math.fsum(present.tolist()) / len(present)
    return mean, math.sqrt(math.fsum(((present - mean) ** 2).tolist()) / len(present))


def _choose_edges(present: npt.NDArray[np.float64], *, is_integer: bool) -> tuple[float, ...]:
    """Return bin edges for sorted values: one bin per integer where these are few, else bins of about equal counts."""
    if not len(present):
        return ()
    if is_integer:
        distinct = np.unique(present)
        if len(distinct) <= COUNTED_INTEGERS:
            between = (distinct[:-1] + distinct[1:]) / 2
            return (float(distinct[0]) - 0.5, *between.tolist(), float(distinct[-1]) + 0.5)
    # Edges are values of the data, so that a heap of equal values makes fewer bins and no edge twice.
    starts = np.arange(NUMERIC_BINS) * len(present) // NUMERIC_BINS
    return (*np.unique(present[starts]).tolist(), math.nextafter(float(present[-1]), math.inf))


def _tally(values: npt.NDArray[np.float64], edges: Sequence[float]) -> list[int]:
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right")
    return [int(count) for count in np.bincount(places, minlength=len(edges) + 1)]


def _count_codes(values: npt.NDArray[np.floating[Any]], categories: int) -> list[int]:
    codes = values[~np.isnan(values)].astype(np.int64)
    return [int(count) for count in np.bincount(codes, minlength=categories)[:categories]]

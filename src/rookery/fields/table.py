"""Tables: columns of many rows checked and turned into float64, as training data and batch files bring them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from enum import Enum
from itertools import groupby
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from rookery.errors import DataError
from rookery.fields.columns import Column
from rookery.fields.hints import describe_column, list_names, nearest, show, unit_hint
from rookery.fields.schema import InputSchema

Values: TypeAlias = npt.NDArray[Any]
Numbers: TypeAlias = npt.NDArray[np.float64]

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def read_table(schema: InputSchema, table: Mapping[str, Any] | Any) -> Numbers:
    """Return a table's columns as float64 [n, width], held to the same limits as single inputs.

    Args:
        schema: whose columns are wanted.
        table: a mapping of names to sequences or arrays, or a data frame (anything with `frame[name]` whose
            iteration yields the names).

    Raises:
        DataError: the table does not fit the schema.
    """
    names = [str(name) for name in table]
    sources = _find_sources(schema, names)
    arrays = {name: _as_array(name, table[name]) for name in names}
    rows = _count_rows({name: len(array) for name, array in arrays.items()})
    matrix = np.empty((rows, schema.width), dtype=np.float64)
    for position, (column, source) in enumerate(zip(schema.columns, sources, strict=True)):
        if source is None:
            values = np.full(rows, column.default, dtype=object)
        else:
            values = _pick_element(column, source, arrays[source], schema)
        matrix[:, position] = _convert(column, values)
    return matrix


def _find_sources(schema: InputSchema, names: Sequence[str]) -> list[str | None]:
    """Return which of a table's columns each column is read from; None takes the default."""
    known = {column.name for column in schema.columns} | {column.field for column in schema.columns}
    given = set(names)
    unknown = [name for name in names if name not in known]
    sources: list[str | None] = []
    for column in schema.columns:
        if column.name in given and column.field in given and column.name != column.field:
            raise DataError(f"column {column.name!r} is given twice: by itself and within {column.field!r}")
        source = next((name for name in (column.name, column.field) if name in given), None)
        if source is None and column.required:
            close = nearest(column.name, unknown) or nearest(column.field, unknown)
            hint = f"did you mean {close!r}? " if close else ""
            raise DataError(
                f"column {column.name!r} is missing ({hint}the table has {list_names(names)})",
                cure=f"Give it: {describe_column(column)}",
            )
        sources.append(source)
    if unknown:
        close = nearest(unknown[0], known)
        fields = list_names(schema.model.model_fields)
        cure = f"Did you mean {close!r}?" if close else f"Drop it; the fields are {fields}"
        raise DataError(f"column {unknown[0]!r} is no field of {schema.model.__name__}", cure=cure)
    _check_whole_vectors(schema, sources)
    return sources


def _check_whole_vectors(schema: InputSchema, sources: Sequence[str | None]) -> None:
    pairs = zip(schema.columns, sources, strict=True)
    for field, group in groupby(pairs, key=lambda pair: pair[0].field):
        own = list(group)
        absent = [column.name for column, source in own if source is None]
        if absent and len(absent) < len(own):
            raise DataError(f"column {absent[0]!r} is missing, others of {field!r} are given", cure="Give them all")


def _as_array(name: str, values: Any) -> Values:
    """Return a column as an array of one dimension, or two for vectors, without guessing at types of mixed lists."""
    if isinstance(values, (str, bytes, Mapping, Set)) or not hasattr(values, "__len__"):
        raise DataError(f"column {name!r} is {show(values)}, not a sequence", cure="Give one value per row")
    if hasattr(values, "dtype"):
        array = np.asarray(values)
        if array.ndim == 0:
            raise DataError(f"column {name!r} is the single value {show(array.item())}", cure="Give one value per row")
        return array
    items = (tuple(item) if isinstance(item, (list, np.ndarray)) else item for item in values)
    return np.fromiter(items, dtype=object, count=len(values))


def _count_rows(lengths: Mapping[str, int]) -> int:
    counts = set(lengths.values())
    if len(counts) > 1:
        listed = ", ".join(f"{name!r} has {length}" for name, length in list(lengths.items())[:10])
        raise DataError(f"the columns differ in length: {listed}", cure="Give every row a value in every column")
    return counts.pop() if counts else 0


def _pick_element(column: Column, source: str, array: Values, schema: InputSchema) -> Values:
    """Return one element of a vector column, or a plain column as it is."""
    if column.element is None or source == column.name:
        if array.ndim != 1:
            raise DataError(f"column {source!r} has {array.ndim} dimensions", cure="Give one value per row")
        return array
    length = sum(other.field == column.field for other in schema.columns)
    if array.ndim == 2 and array.shape[1] == length:
        return array[:, column.element]
    if array.ndim == 2:
        raise DataError(f"column {source!r} has {array.shape[1]} values per row", cure=f"Give {length}")
    for row, value in enumerate(array):
        if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != length:
            what = f"{len(value)} values" if isinstance(value, (tuple, list, np.ndarray)) else show(value)
            raise DataError(f"column {source!r}, row {row}: {what} instead of {length} values", cure=f"Give {length}")
    return np.fromiter((value[column.element] for value in array), dtype=object, count=len(array))


def _convert(column: Column, values: Values) -> Numbers:
    """Return one column as numbers: codes of categories, NaN where an optional value is missing."""
    converted = _convert_categories(column, values) if column.kind == "category" else _convert_numbers(column, values)
    missing = np.isnan(converted)
    if not column.optional and missing.any():
        raise DataError(
            f"column {column.name!r} has {int(missing.sum())} missing of {len(values)} values, "
            f"the first in row {int(missing.argmax())}",
            cure=f"Fill or drop these rows, or allow None in the input model's field {column.field!r}",
        )
    if column.kind != "category":
        _check_values(column, converted)
    return converted


def _convert_categories(column: Column, values: Values) -> Numbers:
    codes = {category: float(code) for code, category in enumerate(column.categories)}
    converted = np.empty(len(values), dtype=np.float64)
    # A pass over distinct values would be shorter, but mixed types have no order that np.unique could use.
    for row, value in enumerate(values.tolist()):
        plain = value.value if isinstance(value, Enum) else value
        code = None if isinstance(plain, (bool, list, dict)) else codes.get(plain)
        if code is None:
            if not _is_missing(plain):
                _refuse_category(column, plain, row)
            code = math.nan
        converted[row] = code
    return converted


def _refuse_category(column: Column, value: Any, row: int) -> NoReturn:
    by_text = {str(category): category for category in column.categories}
    close = nearest(str(value), by_text)
    hint = f"; did you mean {show(by_text[close])}?" if close else ""
    raise DataError(
        f"column {column.name!r}, row {row}: {show(value)} is not one of {list_names(column.categories)}{hint}",
        cure="Correct the value, or add it to the input model's categories",
    )


def _convert_numbers(column: Column, values: Values) -> Numbers:
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    return np.fromiter(
        (_to_number(column, value, row) for row, value in enumerate(values.tolist())), np.float64, len(values)
    )


def _to_number(column: Column, value: Any, row: int) -> float:
    if isinstance(value, (bool, int, float, Decimal, np.number, np.bool_)):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if _is_missing(value):
        return math.nan
    raise DataError(
        f"column {column.name!r}, row {row}: {show(value)} is no number",
        cure=f"It takes {describe_column(column)}" + ("; convert texts to numbers" if isinstance(value, str) else ""),
    )


def _is_missing(value: Any) -> bool:
    """Tell None, NaN and the markers of data frames (`NA`, `NaT`), which are not equal to themselves or cannot tell."""
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def _check_values(column: Column, values: Numbers) -> None:
    """Hold numbers to what the column allows; missing ones pass."""
    with np.errstate(invalid="ignore"):
        if column.kind == "boolean":
            _refuse(column, values, (values != 0) & (values != 1), "is neither true nor false")
        if column.kind == "integer":
            _refuse(column, values, values != np.floor(values), "is no whole number")
        _refuse(column, values, np.isinf(values), "is not finite")
        for bound, breaks, relation in (
            (column.minimum, np.less, "below"),
            (column.exclusive_minimum, np.less_equal, "not above"),
            (column.maximum, np.greater, "above"),
            (column.exclusive_maximum, np.greater_equal, "not below"),
        ):
            if bound is not None:
                _refuse(column, values, breaks(values, bound), f"is {relation} {show(bound)}")
        _refuse(column, values, np.abs(values) > LARGEST_FLOAT32, "is too large for float32")


def _refuse(column: Column, values: Numbers, broken: Values, what: str) -> None:
    broken = broken & ~np.isnan(values)
    if not broken.any():
        return
    row, count = int(broken.argmax()), int(broken.sum())
    value = float(values[row])
    more = f" (and {count - 1} more rows)" if count > 1 else ""
    hint = unit_hint(column, value)
    cure = f"{hint[0].upper()}{hint[1:]} " if hint else ""
    raise DataError(
        f"column {column.name!r}, row {row}: {show(value)} {what}{more}",
        cure=f"{cure}It takes {describe_column(column)}",
    )

"""`Encoder`: inputs turned into rows of float32, and rows back into inputs.

Training, serving, batch files and golden cases all come through here, so that they cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from rookery.errors import DataError
from rookery.fields.annotations import unwrap
from rookery.fields.columns import Column
from rookery.fields.hints import list_names, show
from rookery.fields.schema import InputSchema
from rookery.fields.table import read_table

Matrix: TypeAlias = npt.NDArray[np.float32]
Fields: TypeAlias = dict[str, Any]
FieldReader: TypeAlias = Callable[[Sequence[Fields]], Iterable[Any]]

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_NO_ROWS = np.empty(0, dtype=np.intp)


class Encoder:
    """Encode inputs of one schema as float32 [n, width]."""

    def __init__(self, schema: InputSchema) -> None:
        self.schema = schema
        self._width = schema.width
        self._scalar_positions: list[int] = []
        self._scalar_readers: list[FieldReader] = []
        self._vectors: list[tuple[slice, Callable[[Fields], Any]]] = []
        position = 0
        for name, group in groupby(schema.columns, key=lambda column: column.field):
            own = list(group)
            if own[0].element is None:
                self._scalar_positions.append(position)
                self._scalar_readers.append(_make_reader(own[0], schema.model))
            else:
                self._vectors.append((slice(position, position + len(own)), itemgetter(name)))
            position += len(own)
        self.may_overflow = any(_is_unbounded(column) for column in schema.columns)
        """Whether a number may be sent that float32 cannot hold."""

    def encode_rows(self, objects: Sequence[BaseModel]) -> Matrix:
        """Encode validated inputs; returns float32 [n, width].

        Raises:
            DataError: a value is none of its column's categories, which only a model's own validators can cause.
        """
        rows = [item.__dict__ for item in objects]
        if self.may_overflow:
            with np.errstate(over="ignore"):
                return self._encode(rows)
        return self._encode(rows)

    def _encode(self, rows: list[Fields]) -> Matrix:
        try:
            scalars = self._encode_scalars(rows)
        except KeyError as error:
            raise self._explain_category(rows) from error
        if not self._vectors:
            return scalars
        if not self._scalar_positions and len(self._vectors) == 1:
            return _encode_vector(rows, self._vectors[0][1], self._width)
        matrix = np.empty((len(rows), self._width), dtype=np.float32)
        matrix[:, self._scalar_positions] = scalars
        for place, read in self._vectors:
            matrix[:, place] = _encode_vector(rows, read, place.stop - place.start)
        return matrix

    def _encode_scalars(self, rows: list[Fields]) -> Matrix:
        """Encode the plain fields column by column in one pass over C iterators: no Python code runs per value."""
        count, width = len(rows), len(self._scalar_readers)
        values = chain.from_iterable([read(rows) for read in self._scalar_readers])
        flat = np.fromiter(values, dtype=np.float32, count=count * width)
        if count == 1:
            return flat.reshape(1, width)
        return np.ascontiguousarray(flat.reshape(width, count).T)

    def _explain_category(self, rows: Sequence[Fields]) -> DataError:
        for row, fields in enumerate(rows):
            for column in self.schema.columns:
                value = _plain(fields.get(column.field))
                if column.kind == "category" and value is not None and value not in column.categories:
                    allowed = list_names(column.categories)
                    return DataError(
                        f"column {column.name!r}, row {row}: {show(value)} is not one of {allowed}",
                        cure="Let the input model's validators return only values that its type allows",
                    )
        return DataError("a row lacks a field of the input model", cure="Encode validated inputs")

    def encode_columns(self, columns: Mapping[str, Any] | Any) -> Matrix:
        """Encode a table: a mapping of names to n values each, or a data frame; returns float32 [n, width].

        A vector field is a column of sequences (or an array [n, length]) under the field's name, or one column per
        element, `features[0]` and so on. Fields with a default may be left out.

        Raises:
            DataError: a column is missing, unknown or of another length, or a value is not allowed by the input
                model; the message names column, value, row (counted from 0) and cure.
        """
        values = read_table(self.schema, columns)
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values.astype(np.float32))

    def overflowing(self, matrix: Matrix) -> npt.NDArray[np.intp]:
        """Return the indices of rows with a number that was finite as float64 and is infinite as float32."""
        if not self.may_overflow:
            return _NO_ROWS
        infinite = np.isinf(matrix)
        return np.flatnonzero(infinite.any(axis=1)) if infinite.any() else _NO_ROWS

    def decode_row(self, row: Matrix) -> dict[str, Any]:
        """Return the JSON-ready input that the schema accepts and encodes to exactly this row.

        Raises:
            DataError: the row holds something that no input encodes to.
        """
        if len(row) != self._width:
            raise DataError(f"a row of {len(row)} values does not fit {self._width} columns")
        decoded: dict[str, Any] = {}
        for column, value in zip(self.schema.columns, np.asarray(row, dtype=np.float32), strict=True):
            plain = _decode_value(column, value)
            if column.element is None:
                decoded[column.field] = plain
            else:
                decoded.setdefault(column.field, []).append(plain)
        return decoded


def _make_reader(column: Column, model: type[BaseModel]) -> FieldReader:
    """Return what reads one field of many inputs: an iterator over numbers that runs in C alone."""
    read = itemgetter(column.field)
    if column.kind != "category":
        # numpy turns True into 1 and None into NaN by itself.
        return lambda rows: map(read, rows)
    codes: dict[Any, float] = {category: float(code) for code, category in enumerate(column.categories)}
    members = unwrap(model.model_fields[column.field].annotation).bare
    if isinstance(members, type) and issubclass(members, Enum):
        codes |= {member: codes[member.value] for member in members}
    if column.optional:
        codes[None] = math.nan
    encode = codes.__getitem__
    return lambda rows: map(encode, map(read, rows))


def _encode_vector(rows: Sequence[Fields], read: Callable[[Fields], Any], length: int) -> Matrix:
    values = chain.from_iterable(map(read, rows))
    return np.fromiter(values, dtype=np.float32, count=len(rows) * length).reshape(len(rows), length)


def _is_unbounded(column: Column) -> bool:
    """Tell whether a column allows numbers that float32 cannot hold."""
    if column.kind != "number":
        return False
    lows = [bound for bound in (column.minimum, column.exclusive_minimum) if bound is not None]
    highs = [bound for bound in (column.maximum, column.exclusive_maximum) if bound is not None]
    return not lows or not highs or max(lows) < -LARGEST_FLOAT32 or min(highs) > LARGEST_FLOAT32


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _decode_value(column: Column, value: np.float32) -> Any:
    number = float(value)
    if math.isnan(number) and column.optional:
        return None
    if column.kind == "number" and math.isfinite(number):
        return _decode_number(column, value)
    if number.is_integer():
        if column.kind == "integer" and column.allows(number):
            return int(number)
        if column.kind == "boolean" and number in (0.0, 1.0):
            return number == 1.0
        if column.kind == "category" and 0 <= number < len(column.categories):
            return column.categories[int(number)]
    raise DataError(f"column {column.name!r}: {number} is no encoded value of a {column.kind}")


def _decode_number(column: Column, value: np.float32) -> float:
    """Return the shortest decimal of a float32, moved onto a bound that rounding carried it beyond."""
    shortest = float(str(value))
    if column.allows(shortest):
        return shortest
    candidates = [float(value), column.minimum, column.maximum]
    if column.exclusive_minimum is not None:
        candidates.append(math.nextafter(column.exclusive_minimum, math.inf))
    if column.exclusive_maximum is not None:
        candidates.append(math.nextafter(column.exclusive_maximum, -math.inf))
    for candidate in candidates:
        if candidate is not None and column.allows(candidate) and np.float32(candidate) == value:
            return candidate
    raise DataError(f"column {column.name!r}: {shortest} lies beyond its bounds")

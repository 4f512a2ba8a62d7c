"""Rows from files: JSON, JSON lines, CSV and Parquet, as the input model of a service spells them."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rookery.errors import DataError

if TYPE_CHECKING:
    from rookery.fields.columns import Column
    from rookery.fields.schema import InputSchema

PARQUET_MAGIC = b"PAR1"


def read_bytes(source: str) -> bytes:
    """Read a file, or standard input for `-`.

    Raises:
        DataError: it cannot be read.
    """
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise DataError(
            f"{source} cannot be read: {error.strerror}", cure="Name a file, or - for standard input"
        ) from error


def read_rows(data: bytes, schema: InputSchema, *, name: str) -> tuple[list[Any], bool]:
    """Return the rows of a file's content, and whether it was a single JSON object.

    What it holds is told by its first bytes. A JSON value is passed on as it stands, so that the service judges it; a
    CSV cell becomes what its column is: a number, true or false, one of the categories; an empty one is missing.

    Raises:
        DataError: the content is neither of them, or holds no rows.
    """
    if data.startswith(PARQUET_MAGIC):
        return _read_parquet(data, name), False
    text = _decode(data, name)
    start = text.lstrip()[:1]
    if start == "{" or start == "[":
        return _read_json(text, name)
    rows = _read_csv(text, schema, name)
    return rows, False


def _decode(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        cure = "Give JSON, JSON lines, CSV (in UTF-8) or Parquet"
        raise DataError(f"{name} is no text: byte {error.start} is no UTF-8", cure=cure) from error
    if not text.strip():
        raise DataError(f"{name} is empty", cure="Give at least one row")
    return text


def _read_json(text: str, name: str) -> tuple[list[Any], bool]:
    try:
        value = json.loads(text)
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise DataError(f"{name} is no JSON: {error}") from error
        return [_read_line(line, number, name) for number, line in enumerate(lines, 1)], False
    if isinstance(value, dict) and isinstance(value.get("rows"), list) and len(value) == 1:
        value = value["rows"]
    if isinstance(value, dict):
        return [value], True
    if not value:
        raise DataError(f"{name} holds no rows", cure="Give at least one row")
    return value, False


def _read_line(line: str, number: int, name: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"{name}, line {number}: is no JSON: {error}") from error


def _read_csv(text: str, schema: InputSchema, name: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    columns = {column.name: column for column in schema.columns}
    rows = []
    try:
        for row in reader:
            if None in row:
                raise DataError(f"{name}, line {reader.line_num}: has more cells than there are headings")
            rows.append(_read_cells(row, columns))
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: is no CSV: {error}") from error
    if not rows:
        raise DataError(f"{name} holds no rows", cure="Give a line of column names, then at least one row")
    return rows


def _read_cells(row: Mapping[str, str | None], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return one line's cells as an input; the elements of a vector field stand in columns of their own."""
    values: dict[str, Any] = {}
    for name, cell in row.items():
        column = columns.get(name)
        value = cell if column is None else _read_cell(cell or "", column)
        if column is not None and column.element is not None:
            values.setdefault(column.field, []).append(value)
        elif value is not None or column is None or column.optional:
            values[name] = value
    return values


def _read_cell(cell: str, column: Column) -> Any:
    """Return a cell as its column's kind; one that is not stays a text, for the service to refuse by name."""
    text = cell.strip()
    if not text:
        return None
    if column.kind == "category":
        return next((category for category in column.categories if str(category) == text), text)
    if column.kind == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if column.kind == "integer" and number.is_integer() else number


def _read_parquet(data: bytes, name: str) -> list[dict[str, Any]]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f"{name} is Parquet, which needs pyarrow", cure="pip install 'rookery[train]'") from error
    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{name} is no Parquet that can be read: {error}") from error
    if not rows:
        raise DataError(f"{name} holds no rows", cure="Give at least one row")
    return rows


def columns_of(rows: Sequence[Mapping[str, Any]], schema: InputSchema, *, name: str) -> dict[str, list[Any]]:
    """Return rows as one list per input field, as `Encoder.encode_columns` takes them; other columns are left out.

    Raises:
        DataError: a row lacks a field, or is none.
    """
    fields = list(dict.fromkeys(column.field for column in schema.columns))
    for number, row in enumerate(rows, 1):
        if not hasattr(row, "keys"):
            raise DataError(f"{name}: row {number} is no object", cure=f"Give {', '.join(fields)}")
        missing = [field for field in fields if field not in row]
        if missing:
            raise DataError(f"{name}: row {number} has no {missing[0]!r}", cure=f"Give {', '.join(fields)}")
    return {field: [row[field] for row in rows] for field in fields}

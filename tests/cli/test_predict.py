from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from rookery.cli.tabular import columns_of, read_rows
from rookery.errors import DataError
from rookery.fields.columns import Column
from rookery.fields.schema import rebuild_schema
from tests.cli.conftest import WINE, Command

pytestmark = pytest.mark.xdist_group("workshop")

ROWS = [WINE, {**WINE, "alcohol": 12.1, "proline": 400}, {**WINE, "flavanoids": 0.7, "color_intensity": 8.0}]


@pytest.fixture
def expected(rookery: Command) -> list[dict[str, Any]]:
    """The answers to `ROWS`, each asked for alone."""
    return [rookery("predict", "demo", stdin=json.dumps(row).encode()).json() for row in ROWS]


def _write(folder: Path, form: str) -> Path:
    path = folder / f"rows.{form}"
    if form == "json":
        path.write_text(json.dumps(ROWS))
    elif form == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS))
    elif form == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    else:
        lines = [",".join(WINE), *(",".join(str(value) for value in row.values()) for row in ROWS)]
        path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    return path


def test_one_object_is_answered_as_the_service_answers(expected: list[dict[str, Any]]) -> None:
    assert expected[0]["grower"] == "grower_0"
    assert 0.6 < expected[0]["confidence"] <= 1


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "parquet"])
def test_every_format_gives_the_same_answers(
    form: str, rookery: Command, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = _write(tmp_path, form)
    assert rookery("predict", "demo", str(path), "--json").json() == expected
    table = list(csv.DictReader(io.StringIO(rookery("predict", "demo", str(path)).stdout)))
    assert [row["grower"] for row in table] == [answer["grower"] for answer in expected]
    assert [float(row["confidence"]) for row in table] == [answer["confidence"] for answer in expected]


def test_rows_come_from_standard_input(rookery: Command, tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    data = _write(tmp_path, "csv").read_bytes()
    assert rookery("predict", "demo", "-", "--json", stdin=data).json() == expected


def test_a_refused_row_is_named_and_takes_no_other_with_it(rookery: Command) -> None:
    rows = [ROWS[0], {**WINE, "alcohol": 1e6}, ROWS[2]]
    outcome = rookery("predict", "demo", stdin=json.dumps(rows).encode())
    assert outcome.code == 12
    assert "1 of 3 rows were refused, the first is row 2: alcohol" in outcome.stderr
    table = list(csv.DictReader(io.StringIO(outcome.stdout)))
    assert [bool(row["grower"]) for row in table] == [True, False, True]
    assert "alcohol" in table[1]["error"]


def test_a_package_answers_without_service_or_registry(penguins_package: Path, elsewhere: Command) -> None:
    penguin = {
        "bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181, "body_mass_g": 3750, "year": 2007,
        "sex": "male", "island": "Torgersen",
    }  # fmt: skip
    header, cells = ",".join(penguin), ",".join(map(str, penguin.values()))
    (answer,) = elsewhere(
        "predict", "--package", str(penguins_package), "-", "--json", stdin=f"{header}\n{cells}\n".encode()
    ).json()
    assert answer["prediction"] == "Adelie"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"[]", "holds no rows"),
        (b'{"alcohol": ', "is no JSON"),
        (b'{"alcohol": 1}\n{"alcohol": \n', "line 2: is no JSON"),
        (b"alcohol\n", "holds no rows"),
        (b"alcohol\n1,2\n", "line 2: has more cells than there are headings"),
        (b'alcohol\n"1\n', "is no CSV"),
        (b"\xff\xfe\x00", "is no text"),
        (b"PAR1 and then nothing", "is no Parquet"),
    ],
)
def test_input_that_cannot_be_read_is_5_and_says_where(data: bytes, message: str, rookery: Command) -> None:
    outcome = rookery("predict", "demo", stdin=data)
    assert outcome.code == 5
    assert message in outcome.stderr
    assert outcome.stdout == ""


def test_a_file_or_service_that_is_not_there_is_named(rookery: Command, elsewhere: Command) -> None:
    assert "none.csv cannot be read" in rookery("predict", "demo", "none.csv").stderr
    assert elsewhere("predict", "demo", "rows.csv").code == 11
    assert rookery("predict").code == 2


def test_cells_become_what_their_columns_are() -> None:
    schema = rebuild_schema(
        "Input",
        [
            Column(name="count", field="count", kind="integer"),
            Column(name="is_new", field="is_new", kind="boolean"),
            Column(name="floor", field="floor", kind="category", categories=(1, 2)),
            Column(name="note", field="note", kind="number", optional=True),
            Column(name="size[0]", field="size", kind="number", element=0),
            Column(name="size[1]", field="size", kind="number", element=1),
        ],
    )
    text = "count,is_new,floor,note,size[0],size[1],stray\n7,true,2,,1.5,2,x\n7.5,maybe,9,3,a,,\n"
    rows, is_single = read_rows(text.encode(), schema, name="cells.csv")
    assert is_single is False
    assert rows == [
        {"count": 7, "is_new": True, "floor": 2, "note": None, "size": [1.5, 2.0], "stray": "x"},
        {"count": 7.5, "is_new": "maybe", "floor": "9", "note": 3.0, "size": ["a", None], "stray": ""},
    ]
    assert columns_of(rows, schema, name="cells.csv")["size"] == [[1.5, 2.0], ["a", None]]
    with pytest.raises(DataError, match="row 1 has no 'is_new'"):
        columns_of([{"count": 1}], schema, name="cells.csv")

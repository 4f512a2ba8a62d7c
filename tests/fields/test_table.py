"""Tables of training data and batch files, read column by column."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import Field, create_model

from rookery.errors import DataError
from rookery.fields.encoder import Encoder
from rookery.fields.schema import read_input_model
from tests.fields.models import PENGUIN_SCHEMA, Colour, floats

NAN = float("nan")


def encode(fields: dict[str, Any], table: Any) -> np.ndarray:
    return Encoder(read_input_model(create_model("Drawn", **fields))).encode_columns(table)


def penguins(**changes: Any) -> dict[str, Any]:
    return {
        "bill_length_mm": [39.1, 46.5, 50.0],
        "bill_depth_mm": [18.7, 17.9, 15.2],
        "body_mass_g": [3750, 3500, 5700],
        "year": [2007, 2008, 2009],
        "sex": ["male", None, "female"],
        "island": ["Torgersen", "Dream", "Biscoe"],
        **changes,
    }


EXPECTED = floats([[39.1, 18.7, 3750, 2007, 0, 0], [46.5, 17.9, 3500, 2008, NAN, 2], [50.0, 15.2, 5700, 2009, 1, 1]])

WRAPPERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "lists": lambda table: table,
    "tuples": lambda table: {name: tuple(values) for name, values in table.items()},
    "arrays": lambda table: {name: np.array(values) for name, values in table.items()},
    "a frame": pd.DataFrame,
    "a frame of nullable types": lambda table: pd.DataFrame(table).convert_dtypes(),
    "a frame of objects": lambda table: pd.DataFrame(table, dtype=object),
    "a frame of categoricals": lambda table: pd.DataFrame(table).astype({"sex": "category", "island": "category"}),
    "a frame with another index": lambda table: pd.DataFrame(table, index=[7, 8, 9]),
    "series": lambda table: {name: pd.Series(values) for name, values in table.items()},
    "categoricals": lambda table: {**table, "island": pd.Categorical(table["island"])},
    "whole floats": lambda table: {**table, "year": [2007.0, 2008.0, 2009.0]},
    "numpy texts": lambda table: {**table, "island": np.array(table["island"], dtype="U12")},
    "decimals": lambda table: {**table, "body_mass_g": [Decimal(3750), Decimal(3500), Decimal(5700)]},
    "numpy scalars": lambda table: {**table, "year": [np.int64(2007), np.uint16(2008), np.float32(2009)]},
    "columns in another order": lambda table: dict(reversed(table.items())),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_tables_of_every_make_encode_alike(wrapper: str) -> None:
    matrix = Encoder(PENGUIN_SCHEMA).encode_columns(WRAPPERS[wrapper](penguins()))
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, EXPECTED)


def test_a_missing_column_with_a_default_takes_it() -> None:
    table = penguins()
    del table["year"]
    assert Encoder(PENGUIN_SCHEMA).encode_columns(table)[:, 3].tolist() == [2007, 2007, 2007]


@pytest.mark.parametrize("values", [[True, False], np.array([True, False]), [1, 0], np.array([1.0, 0.0])])
def test_truths_are_booleans_or_ones_and_zeros(values: Any) -> None:
    assert encode({"x": (bool, ...)}, {"x": values}).tolist() == [[1], [0]]


def test_missing_values_of_every_spelling_are_nan_where_they_are_allowed() -> None:
    values = [1.5, None, NAN, np.float64(NAN), pd.NA, pd.NaT]
    matrix = encode({"x": (float | None, ...)}, {"x": values})
    assert np.isnan(matrix[:, 0]).tolist() == [False, True, True, True, True, True]
    codes = encode({"x": (Literal["a"] | None, ...)}, {"x": ["a", None, NAN, pd.NA]})
    assert np.isnan(codes[:, 0]).tolist() == [False, True, True, True]


def test_codes_are_found_whatever_type_spells_them() -> None:
    fields = {"x": (Literal[3, 1], ...), "y": (Colour, ...)}
    table = {"x": np.array([1, 3, 1]), "y": [Colour.BLUE, "red", np.str_("blue")]}
    assert encode(fields, table).tolist() == [[1, 1], [0, 0], [1, 1]]
    assert encode({"x": (Literal[3, 1], ...)}, {"x": [3.0, 1.0]}).tolist() == [[0], [1]]


VECTOR = {"v": (list[float], Field(min_length=2, max_length=2))}


@pytest.mark.parametrize(
    "table",
    [
        {"v": [[1, 2], [3, 4], [5, 6]]},
        {"v": [(1, 2), (3, 4), (5, 6)]},
        {"v": np.array([[1, 2], [3, 4], [5, 6]])},
        {"v": [np.array([1, 2]), np.array([3, 4]), np.array([5, 6])]},
        {"v": pd.Series([[1, 2], [3, 4], [5, 6]])},
        {"v[1]": [2, 4, 6], "v[0]": [1, 3, 5]},
        pd.DataFrame({"v[0]": [1, 3, 5], "v[1]": [2, 4, 6]}),
    ],
    ids=str,
)
def test_vectors_come_whole_or_as_one_column_per_element(table: Any) -> None:
    assert encode(VECTOR, table).tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_table_without_rows_is_a_matrix_without_rows() -> None:
    table: dict[str, list[Any]] = {name: [] for name in penguins()}
    assert Encoder(PENGUIN_SCHEMA).encode_columns(table).shape == (0, 6)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "below the bound": ({"body_mass_g": [3750, 3.5, 5.7]}, "'body_mass_g', row 1: 3.5 is below 1000 (and 1 more"),
    "with a unit mixed up": (
        {"body_mass_g": [3750, 3.5, 5.7]},
        "Is it in kilograms? It takes a number, 1000 to 8000 g",
    ),
    "above the bound": ({"year": [2007, 2008, 2200]}, "'year', row 2: 2200 is above 2100"),
    "no whole number": ({"year": [2007, 2008.5, 2009]}, "'year', row 1: 2008.5 is no whole number"),
    "infinite": ({"bill_length_mm": [39.1, np.inf, 40]}, "'bill_length_mm', row 1: inf is not finite"),
    "missing": ({"year": [2007, None, NAN]}, "'year' has 2 missing of 3 values, the first in row 1"),
    "missing category": ({"island": ["Dream", None, "Dream"]}, "'island' has 1 missing of 3 values"),
    "unknown category": ({"island": ["Dream", "Briscoe", "Dream"]}, "row 1: 'Briscoe' is not one of 'Torgersen'"),
    "misspelt category": ({"island": ["Dream", "briscoe", "Dream"]}, "did you mean 'Biscoe'?"),
    "a truth as category": ({"island": ["Dream", True, "Dream"]}, "row 1: true is not one of"),
    "text as number": ({"year": [2007, "2008", 2009]}, "'year', row 1: '2008' is no number"),
    "texts as numbers": ({"year": np.array(["2007", "2008", "2009"])}, "convert texts to numbers"),
    "a time as number": ({"year": pd.to_datetime(["2007", "2008", "2009"])}, "'year', row 0"),
    "a list as number": ({"year": [2007, [2008], 2009]}, "'year', row 1: a list of 1 is no number"),
    "too short": ({"year": [2007, 2008]}, "the columns differ in length"),
    "a single value": ({"year": 2007}, "'year' is 2007, not a sequence"),
    "a single array value": ({"year": np.array(2007)}, "'year' is the single value 2007"),
    "a text": ({"year": "2007"}, "'year' is '2007', not a sequence"),
    "a set": ({"year": {2007, 2008, 2009}}, "not a sequence"),
    "two dimensions": ({"year": np.zeros((3, 2))}, "'year' has 2 dimensions"),
    "an unknown column": ({"species": [1, 2, 3]}, "'species' is no field of Penguin. Drop it"),
    "a misspelt unknown column": ({"yaer": [1, 2, 3]}, "Did you mean 'year'?"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_column_that_does_not_fit_is_refused_by_name_row_and_cure(what: str) -> None:
    changes, message = REFUSED[what]
    with pytest.raises(DataError) as caught:
        Encoder(PENGUIN_SCHEMA).encode_columns(penguins(**changes))
    assert message in str(caught.value)


def test_a_missing_column_is_named_with_the_one_that_was_probably_meant() -> None:
    table = penguins()
    table["body_mass"] = table.pop("body_mass_g")
    with pytest.raises(DataError, match=r"'body_mass_g' is missing \(did you mean 'body_mass'\?") as caught:
        Encoder(PENGUIN_SCHEMA).encode_columns(table)
    assert caught.value.cure == "Give it: a number, 1000 to 8000 g"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"v": [[1, 2], [3]]}, "row 1: 1 values instead of 2"),
        ({"v": [[1, 2], 3]}, "row 1: 3 instead of 2 values"),
        ({"v": np.zeros((2, 3))}, "has 3 values per row"),
        ({"v": [[1, 2], [3, "4"]]}, r"'v\[1\]', row 1: '4' is no number"),
        ({"v": [[1, 2], [3, None]]}, r"'v\[1\]' has 1 missing"),
        ({"v[0]": [1]}, r"'v\[1\]' is missing"),
        ({"v": [[1, 2]], "v[0]": [1]}, "given twice"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(table: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode(VECTOR, table)


def test_half_a_vector_is_refused_even_when_it_has_a_default() -> None:
    field = (list[float], Field([0, 0], min_length=2, max_length=2))
    assert encode({"a": (float, ...), "v": field}, {"a": [1]}).tolist() == [[1, 0, 0]]
    with pytest.raises(DataError, match="Give them all"):
        encode({"a": (float, ...), "v": field}, {"a": [1], "v[0]": [2]})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e39, -1e300, 10**400])
def test_numbers_beyond_float32_are_refused(value: Any) -> None:
    with pytest.raises(DataError, match=r"too large for float32|not finite"):
        encode({"x": (float, ...)}, {"x": [1, value]})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (Field(gt=0), 0, "not above 0"),
        (Field(lt=1), 1, "not below 1"),
        (Field(ge=0), -1, "below 0"),
        (Field(le=1), 2, "above 1"),
    ],
)
def test_every_kind_of_bound_holds(field: Any, value: float, message: str) -> None:
    assert encode({"x": (float, field)}, {"x": [0.5]}).tolist() == [[0.5]]
    with pytest.raises(DataError, match=message):
        encode({"x": (float, field)}, {"x": [0.5, value]})


def test_truths_are_nothing_else_than_one_and_zero() -> None:
    with pytest.raises(DataError, match="row 1: 2 is neither true nor false"):
        encode({"x": (bool, ...)}, {"x": [1, 2]})


def test_reading_tables_loads_no_data_frame_library() -> None:
    """Data frames are known by their manners, not by their library."""
    script = (
        "import sys\nfrom pydantic import create_model\nfrom rookery.fields.encoder import Encoder\n"
        "from rookery.fields.schema import read_input_model\n"
        "Encoder(read_input_model(create_model('M', x=(float, ...)))).encode_columns({'x': [1, 2]})\n"
        "assert not {'pandas', 'polars', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

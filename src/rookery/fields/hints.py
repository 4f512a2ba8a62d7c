"""Hints: what a person probably meant who sent a wrong name, category or unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from rookery.fields.columns import LARGEST_INTEGER, Column

SHOWN_TEXT = 80
"""Longer values are cut in messages."""
SHOWN_NAMES = 20
"""So many allowed categories or known names are listed."""

_SCALES: tuple[Mapping[str, tuple[float, str]], ...] = (
    {"mg": (0.001, "milligrams"), "g": (1, "grams"), "kg": (1000, "kilograms"), "t": (1e6, "tonnes"),
     "oz": (28.349523125, "ounces"), "lb": (453.59237, "pounds")},
    {"mm": (0.001, "millimetres"), "cm": (0.01, "centimetres"), "m": (1, "metres"), "km": (1000, "kilometres"),
     "in": (0.0254, "inches"), "ft": (0.3048, "feet"), "mi": (1609.344, "miles")},
    {"ms": (0.001, "milliseconds"), "s": (1, "seconds"), "min": (60, "minutes"), "h": (3600, "hours"),
     "d": (86400, "days")},
    {"ml": (0.001, "millilitres"), "cl": (0.01, "centilitres"), "l": (1, "litres"), "m³": (1000, "cubic metres")},
    {"Pa": (1, "pascals"), "hPa": (100, "hectopascals"), "kPa": (1000, "kilopascals"), "bar": (1e5, "bars")},
    {"m²": (1, "square metres"), "ha": (1e4, "hectares"), "km²": (1e6, "square kilometres"),
     "ft²": (0.09290304, "square feet")},
    {"m/s": (1, "metres per second"), "km/h": (1 / 3.6, "kilometres per hour"), "mph": (0.44704, "miles per hour")},
    {"%": (1, "percent"), "share": (100, "a share of 1")},
    {"°": (1, "degrees"), "rad": (180 / math.pi, "radians")},
)  # fmt: skip
"""Units that measure the same, with their sizes and their names in a question."""

_NOT_METRIC = frozenset({"oz", "lb", "in", "ft", "mi", "ft²", "mph"})

_SPELLINGS = {
    "gram": "g", "grams": "g", "kilogram": "kg", "kilograms": "kg", "lbs": "lb", "pounds": "lb",
    "millimetres": "mm", "centimetres": "cm", "metres": "m", "meters": "m", "kilometres": "km", "inches": "in",
    "sec": "s", "seconds": "s", "minutes": "min", "hours": "h", "L": "l", "mL": "ml", "m2": "m²", "m^2": "m²",
    "percent": "%", "deg": "°", "degrees": "°", "C": "°C", "celsius": "°C", "F": "°F", "kelvin": "K",
}  # fmt: skip

_TEMPERATURES: Mapping[str, tuple[float, float, str]] = {
    "°C": (1.0, 0.0, "degrees Celsius"),
    "°F": (5 / 9, -160 / 9, "degrees Fahrenheit"),
    "K": (1.0, -273.15, "kelvins"),
}
"""Factor and offset that turn a temperature into °C."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a misspelt one probably means, if one is close."""
    by_folded = {name.casefold(): name for name in known}
    matches = get_close_matches(str(word)[:100].casefold(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def unit_hint(column: Column, value: float) -> str | None:
    """Return what an out-of-range value may be measured in, as a question, if that explains it.

    Known units are tried by their conversions; a number without a known unit by factors of 10, 100 and 1000.
    """
    if not math.isfinite(value) or value == 0:
        return None
    unit = _SPELLINGS.get(column.unit or "", column.unit or "")
    if unit in _TEMPERATURES:
        return _temperature_hint(column, unit, value)
    for scale in _SCALES:
        if unit in scale:
            return _scale_hint(column, scale, unit, value)
    return _factor_hint(column, value) if _is_bounded(column) else None


def _scale_hint(column: Column, scale: Mapping[str, tuple[float, str]], unit: str, value: float) -> str | None:
    """Try the other units of a scale: metric ones before others, near ones before far ones."""
    own = scale[unit][0]
    others = [other for other in scale if other != unit]
    others.sort(key=lambda other: (other in _NOT_METRIC, abs(math.log(scale[other][0] / own))))
    fitting = (scale[other][1] for other in others if column.allows(value * scale[other][0] / own))
    name = next(fitting, None)
    return f"is it in {name}?" if name else None


def _factor_hint(column: Column, value: float) -> str | None:
    for factor in (10, 100, 1000):
        for scaled, words in ((value * factor, "multiplied"), (value / factor, "divided")):
            if column.allows(scaled):
                return f"{words} by {factor} it would fit; is it in another unit?"
    return None


def _temperature_hint(column: Column, unit: str, value: float) -> str | None:
    factor, offset, _ = _TEMPERATURES[unit]
    for other, (other_factor, other_offset, name) in _TEMPERATURES.items():
        if other != unit and column.allows((value * other_factor + other_offset - offset) / factor):
            return f"is it in {name}?"
    return None


def _is_bounded(column: Column) -> bool:
    """Tell whether both ends are bounded; with one open end, some factor always fits and explains nothing."""
    low = column.minimum is not None or column.exclusive_minimum is not None
    high = column.maximum is not None or column.exclusive_maximum is not None
    return low and high


def describe_range(column: Column) -> str:
    """Return the bounds in words: `2000 to 7000 g`, `at least 0`, or nothing."""
    low, high = column.minimum, column.maximum
    if column.kind == "integer":
        # The limits of float32 are no fact about the field.
        low, high = None if low == -LARGEST_INTEGER else low, None if high == LARGEST_INTEGER else high
    parts = []
    if low is not None and high is not None:
        parts.append(f"{show_number(low)} to {show_number(high)}")
    elif low is not None:
        parts.append(f"at least {show_number(low)}")
    elif high is not None:
        parts.append(f"at most {show_number(high)}")
    if column.exclusive_minimum is not None:
        parts.append(f"above {show_number(column.exclusive_minimum)}")
    if column.exclusive_maximum is not None:
        parts.append(f"below {show_number(column.exclusive_maximum)}")
    return (" and ".join(parts) + with_unit(column)) if parts else ""


def with_unit(column: Column) -> str:
    """Return the unit with a space before it, or nothing."""
    if column.unit is None:
        return ""
    return column.unit if column.unit in ("%", "°") else f" {column.unit}"


def describe_column(column: Column) -> str:
    """Return what a column takes, in words: `a number, 2000 to 7000 g`."""
    if column.kind == "category":
        return f"one of {list_names(column.categories)}"
    noun = {"number": "a number", "integer": "a whole number", "boolean": "true or false"}[column.kind]
    span = describe_range(column)
    if span:
        return f"{noun}, {span}"
    return f"{noun} in {column.unit}" if column.unit else noun


def list_names(names: Iterable[Any]) -> str:
    """Return names or categories for a message, texts in quotes, the first twenty of them."""
    listed = [show(name) for name in names]
    more = f" and {len(listed) - SHOWN_NAMES} more" if len(listed) > SHOWN_NAMES else ""
    return ", ".join(listed[:SHOWN_NAMES]) + more


def show_number(value: float) -> str:
    """Return a number as a person writes it: 3750 rather than 3750.0."""
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else f"an integer of {value.bit_length()} bits"
    if math.isfinite(value) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def show(value: Any) -> str:
    """Return a value for a message: short, on one line, valid as UTF-8."""
    if value is None:
        return "null"
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return show_number(value)
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = text[: SHOWN_TEXT + 1].encode("utf-8", "replace").decode("utf-8")
    text = "".join(character if character.isprintable() else " " for character in text)
    return f"'{text[:SHOWN_TEXT]}…'" if len(text) > SHOWN_TEXT else f"'{text}'"

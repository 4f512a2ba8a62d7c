"""A manifest keeps everything it was given, and says plainly what it cannot read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rookery.errors import PackageError
from rookery.fields.columns import Column
from rookery.package.digests import content_digest
from rookery.package.manifest import ClassificationTask, InputSpec, parse_manifest, read_manifest
from rookery.service.policies import Limits
from rookery.service.task import Classification, Regression
from tests.package.builders import (
    COLUMNS,
    build_package,
    function_manifest,
    make_manifest,
    regression_manifest,
    tensors_of,
)

JSON_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.text(max_size=8),
    st.floats(allow_nan=False, allow_infinity=False),
)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
any_column = st.builds(
    Column,
    name=st.text(min_size=1, max_size=10),
    field=st.text(min_size=1, max_size=10),
    kind=st.sampled_from(["number", "integer", "boolean", "category"]),
    element=st.none() | st.integers(0, 100),
    categories=st.lists(st.text(max_size=5) | st.integers(-5, 5) | st.booleans(), max_size=4).map(tuple),
    optional=st.booleans(),
    default=JSON_SCALARS,
    required=st.booleans(),
    minimum=NUMBERS,
    maximum=NUMBERS,
    exclusive_minimum=NUMBERS,
    exclusive_maximum=NUMBERS,
    unit=st.none() | st.text(max_size=5),
    title=st.none() | st.text(max_size=5),
    description=st.none() | st.text(max_size=5),
    example=JSON_SCALARS | st.lists(st.integers(), max_size=3),
    extra=st.lists(st.tuples(st.text(max_size=5), JSON_SCALARS), max_size=3).map(tuple),
)


def with_types(column: Column) -> list[Any]:
    """A column's values with their types: 1, 1.0 and True are equal but not the same category."""
    return [
        (name, type(value).__name__, [type(part).__name__ for part in value] if isinstance(value, tuple) else value)
        for name in Column.__dataclass_fields__
        for value in [getattr(column, name)]
    ]


@given(any_column)
def test_any_column_survives_the_manifest_unchanged(column: Column) -> None:
    manifest = make_manifest(
        input=InputSpec(json_schema={}, columns=(column,)),
        tensors=tensors_of("probabilities", (None, 3)).model_copy(
            update={"input": tensors_of("probabilities", (None, 3)).input.model_copy(update={"shape": (None, 1)})}
        ),
    )
    (found,) = parse_manifest(manifest.to_json()).columns
    assert found == column
    assert with_types(found) == with_types(column)


def test_everything_survives_writing_and_reading() -> None:
    manifest = make_manifest(limits=Limits(rows=7, deadline_seconds=0.5))
    found = parse_manifest(manifest.to_json())
    assert found.to_json() == manifest.to_json()
    assert found.limits == manifest.limits
    assert found.provenance == manifest.provenance
    assert found.task_object() == Classification("Adelie", "Chinstrap", "Gentoo")
    assert parse_manifest(regression_manifest().to_json()).task_object() == Regression("kg")


def test_rules_and_derived_features_mean_the_same_after_reading() -> None:
    found = parse_manifest(make_manifest().to_json())
    columns = {"mass_g": np.asarray([1000.0, 4000.0]), "year": np.asarray([2007.0, 2008.0])}
    (rule,) = found.input.rules
    assert rule.condition.evaluate(columns).tolist() == [False, True]
    assert (rule.message, rule.fields) == ("a penguin weighs more", ("mass_g",))
    assert [feature.name for feature in found.input.derived] == ["log_mass", "double"], "their order is their meaning"


def test_a_newer_format_is_refused_first_and_with_the_cure() -> None:
    """A newer manifest may hold anything: only its format is looked at."""
    data = json.dumps({"format": 2, "whatever": ["that", "will", "be"]}).encode()
    with pytest.raises(PackageError, match=r"the package has format 2, this release reads up to 1\. Upgrade Rookery"):
        parse_manifest(data)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'{"format": true}', b'{"format": "1"}', b"{}", b"[" * 100_000]
)
def test_what_is_no_manifest_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(PackageError, match=r"manifest\.json: (not JSON|no package format)"):
        parse_manifest(data)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("surprise",), 1, "surprise: Extra inputs"),
        (("input", "columns", 0, "surprise"), 1, r"input\.columns\.0\.surprise"),
        (("input", "columns", 0, "kind"), "colour", r"input\.columns\.0\.kind"),
        (("input", "columns", 1, "name"), "mass_g", "column 'mass_g' is declared twice"),
        (("input", "columns", 0, "minimum"), "3", r"input\.columns\.0\.minimum: Input should be a valid number"),
        (("input", "rules", 0, "condition"), {"op": "exec", "args": ["year"]}, r"input\.rules\.0: .*not an expression"),
        (("input", "rules", 0, "condition"), {"op": "add", "args": ["year", 1]}, r"input\.rules\.0: .*not a truth"),
        (("input", "rules", 0, "condition"), {"op": "less", "args": ["height", 1]}, "a rule reads 'height'"),
        (("input", "rules", 0, "condition"), {"op": "inside", "args": ["year", "year"]}, r"input\.rules\.0"),
        (("input", "rules", 0, "fields"), "mass_g", r"input\.rules\.0"),
        (("input", "rules", 0, "surprise"), 1, r"input\.rules\.0"),
        (("input", "derived", 0, "expression"), "double", "derived feature 'log_mass' reads 'double'"),
        (("task", "labels"), ["a", "a", "b"], "two labels, each named once"),
        (("task", "labels"), ["a", "b"], r"has shape \(None, 3\), expected \(None, 2\)"),
        (("task", "kind"), "ranking", "task"),
        (("tensors", "input", "shape"), [None, 5], r"input has shape \(None, 5\), expected \(None, 4\)"),
        (("tensors", "outputs"), {}, "one output is 'probabilities'"),
        (("tensors",), None, "declares its task and its tensors"),
        (("limits", "rows"), 0, "limit rows=0 is not positive"),
        (("kind",), "function", "names its code_digest"),
        (("kind",), "pickle", "kind"),
        (("files", "model.onnx"), {"sha256": "abc", "size": 1}, r"files\.model\.onnx\.sha256"),
        (("confidence_threshold",), "high", "confidence_threshold"),
    ],
)
def test_an_entry_that_makes_no_sense_is_named(path: tuple[Any, ...], value: Any, reason: str) -> None:
    content = json.loads(make_manifest().to_json())
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(PackageError, match=rf"manifest\.json: .*{reason}"):
        parse_manifest(json.dumps(content).encode())


def test_numbers_that_json_does_not_know_are_refused() -> None:
    data = make_manifest().to_json().replace(b'"confidence_threshold": 0.5', b'"confidence_threshold": NaN')
    with pytest.raises(PackageError, match=r"manifest\.json"):
        parse_manifest(data)
    data = make_manifest().to_json().replace(b'"confidence_threshold": 0.5', b'"confidence_threshold": 1e999')
    with pytest.raises(PackageError, match="confidence_threshold: Input should be a finite number"):
        parse_manifest(data)


def test_a_manifest_cannot_be_changed() -> None:
    manifest = make_manifest()
    with pytest.raises(ValidationError, match="frozen"):
        manifest.service = "other"  # type: ignore[misc]


def test_the_manifest_names_digest_and_size_of_every_other_file(tmp_path: Path) -> None:
    written = build_package(tmp_path / "package")
    assert set(written.files) == {path.name for path in (tmp_path / "package").iterdir()} - {"manifest.json"}
    for name, entry in written.files.items():
        assert entry.size == (tmp_path / "package" / name).stat().st_size
    assert read_manifest(tmp_path / "package").to_json() == written.to_json()


def test_content_digests_depend_on_model_profile_and_golden_cases_alone() -> None:
    digests = {"model.onnx": "1", "profile.json": "2", "golden.jsonl": "3", "metrics.json": "4"}
    digest = content_digest(digests)
    assert content_digest(digests | {"metrics.json": "5", "MODEL_CARD.md": "6"}) == digest
    for name in ("model.onnx", "profile.json", "golden.jsonl"):
        assert content_digest(digests | {name: "9"}) != digest
    assert content_digest(digests, code="7") != digest


def test_a_function_has_a_picture_and_no_task() -> None:
    manifest = parse_manifest(function_manifest().to_json())
    assert manifest.task_object() is None
    picture = manifest.input_schema().picture
    assert picture is not None
    assert picture.image.mode == "L"
    with pytest.raises(ValueError, match="a function reads a picture"):
        function_manifest(input=InputSpec(json_schema={}, columns=COLUMNS))


def test_the_input_model_is_rebuilt_under_its_own_name() -> None:
    assert make_manifest().input_schema().model.__name__ == "Penguin"
    odd = InputSpec(json_schema={"title": "no identifier!"}, columns=COLUMNS)
    assert make_manifest(input=odd).input_schema().model.__name__ == "Input"


def test_labels_stay_in_their_order() -> None:
    labels = ("z", "a", "m")
    assert parse_manifest(
        make_manifest(task=ClassificationTask(labels=labels)).to_json()
    ).task_object() == Classification(*labels)


@pytest.mark.parametrize("value", [float("nan"), np.float32(1), {1, 2}, object()])
def test_a_value_that_json_does_not_know_is_refused_when_it_is_written(value: Any) -> None:
    column = Column(name="x", field="x", kind="number", example=value)
    tensors = tensors_of("probabilities", (None, 3), width=1)
    manifest = make_manifest(input=InputSpec(json_schema={}, columns=(column,)), tensors=tensors)
    with pytest.raises(PackageError, match="cannot be written as JSON"):
        manifest.to_json()


def every_place(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of all values inside some JSON."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(place for key, value in inner for place in every_place(value, (*path, key)))]


PLACES = every_place(json.loads(make_manifest().to_json()))[1:]
any_json = st.recursive(
    JSON_SCALARS | st.sampled_from(["mass_g", "number", "category", "_private", "model_", "1", "x y", "", "\x00"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["op", "args", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), any_json)
def test_whatever_one_entry_becomes_the_manifest_is_read_or_refused(path: tuple[Any, ...], value: Any) -> None:
    """A damaged manifest ends in PackageError or in a usable input model, never in another exception."""
    content = json.loads(make_manifest().to_json())
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    try:
        schema = parse_manifest(json.dumps(content).encode()).input_schema()
    except PackageError:
        return
    assert schema.width == 4

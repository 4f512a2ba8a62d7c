"""Functions: a digest that changes with the code, golden cases that notice what it computes, and their package."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from rookery.errors import DefinitionError, GoldenMismatch, PackageError
from rookery.export.function_package import package_function
from rookery.package.function import check_code, check_function, function_code, record_function, summarize
from rookery.package.golden_pictures import describe_golden
from rookery.package.opener import open_package
from rookery.service.definition import Service
from tests.package.functions import BODY, CODE, write_function

CASES = [describe_golden(number) for number in range(3)]


@pytest.fixture
def light(tmp_path: Path) -> Service:
    return write_function(tmp_path / "services")


def test_the_digest_is_of_the_source_and_changes_with_every_file(tmp_path: Path, light: Service) -> None:
    before = function_code(light).digest
    assert function_code(write_function(tmp_path / "elsewhere")).digest == before
    folder = tmp_path / "services" / "light"
    seen = {before}
    for name in ("helper.py", "deeper/helper.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("X = 1\n")
        seen.add(function_code(light).digest)
    (folder / "notes.txt").write_text("no code")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "left.py").write_text("no code of this service")
    seen.add(function_code(light).digest)
    assert len(seen) == 3


def test_the_digest_changes_with_a_library(light: Service) -> None:
    assert function_code(light).digest != function_code(replace(light, libraries=("numpy", "pydantic"))).digest


def test_a_library_that_is_not_there_is_named(light: Service) -> None:
    with pytest.raises(DefinitionError, match="its library no-such-library is not installed"):
        function_code(replace(light, libraries=("no-such-library",)))


def test_code_whose_source_nobody_knows_is_refused(light: Service) -> None:
    made: dict[str, object] = {}
    exec("def unknown(picture, parameters): return {}", {"__name__": "nowhere.at.all"}, made)
    with pytest.raises(DefinitionError, match="source of its function is not known"):
        function_code(replace(light, function=made["unknown"]))  # type: ignore[arg-type]


def test_a_parameter_without_a_default_is_refused(tmp_path: Path) -> None:
    service = write_function(tmp_path, code=CODE.replace("Field(1.0, ", "Field("))
    with pytest.raises(DefinitionError, match="'factor' has no default"):
        function_code(service)


def test_golden_cases_notice_another_result_and_forgive_the_last_digits(tmp_path: Path, light: Service) -> None:
    golden = record_function(function_code(light), CASES)
    check_function(function_code(light), golden)
    check_function(function_code(write_function(tmp_path / "a", f"{BODY} * 1.001")), golden)
    with pytest.raises(GoldenMismatch, match="case 1: the code's answer is off"):
        check_function(function_code(write_function(tmp_path / "b", f"{BODY} * 1.1")), golden)
    with pytest.raises(GoldenMismatch, match="case 1 expects 2 numbers, the code answers 4"):
        check_function(function_code(write_function(tmp_path / "c", f'1.0, "more": {BODY}')), golden)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1 / 0", "the code fails: ZeroDivisionError"),
        ("__import__('no_such_module')", "needs no_such_module, which is not installed"),
        ("object()", "no JSON"),
        ("picture.mean()", "no JSON"),
        ("picture", "no JSON"),
    ],
)
def test_code_that_could_answer_nothing_is_refused_before_it_serves(tmp_path: Path, body: str, message: str) -> None:
    service = write_function(tmp_path / "services", body)
    with pytest.raises(PackageError, match=message):
        package_function(service, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_result_that_is_no_object_is_refused(tmp_path: Path) -> None:
    service = write_function(tmp_path, code=CODE.replace('{"brightness": BODY}', "[1, 2]"))
    with pytest.raises(GoldenMismatch, match="returns list, no fields"):
        record_function(function_code(service), CASES)


def test_other_code_is_refused_with_the_commit_to_deploy(light: Service) -> None:
    code = function_code(light)
    assert check_code(code, recorded=code.digest, service="light", commit=None) is code
    with pytest.raises(PackageError, match="Deploy commit abc123, or register") as refused:
        check_code(code, recorded="0" * 64, service="light", commit="abc123")
    assert "`rookery train light`" in str(refused.value)
    with pytest.raises(PackageError, match="Deploy commit abc123 with the changes that were not committed"):
        check_code(code, recorded="0" * 64, service="light", commit="abc123+changes")
    with pytest.raises(PackageError, match="Deploy the code it was made of"):
        check_code(code, recorded="0" * 64, service="light", commit=None)
    with pytest.raises(PackageError, match="cannot be opened alone"):
        check_code(None, recorded=code.digest, service="light", commit=None)


def test_a_package_opens_with_its_code_and_no_other(tmp_path: Path, light: Service) -> None:
    manifest = package_function(light, tmp_path / "package", git_commit="abc123")
    assert (manifest.kind, manifest.code_digest, manifest.task) == ("function", function_code(light).digest, None)
    assert manifest.provenance.libraries["numpy"]
    assert "not by a trained model" in (tmp_path / "package" / "MODEL_CARD.md").read_text()
    opened = open_package(tmp_path / "package", code=function_code(light))
    assert len(opened.golden) == 20
    assert opened.code is not None
    other = write_function(tmp_path / "other", f"{BODY} + 0")
    with pytest.raises(PackageError, match="Deploy commit abc123"):
        open_package(tmp_path / "package", code=function_code(other))


def test_the_same_code_makes_the_same_content(tmp_path: Path, light: Service) -> None:
    first, second = (package_function(light, tmp_path / name) for name in ("first", "second"))
    assert first.content_digest == second.content_digest
    other = package_function(write_function(tmp_path / "other", f"{BODY} + 0"), tmp_path / "third")
    assert other.content_digest != first.content_digest


def test_a_summary_counts_and_means_every_field_by_name() -> None:
    summary = summarize({"b": [1, 2, {"x": 3.0}], "a": None, "c": "four", "d": float("nan")})
    expected = [0, 0, 3, 2, 1, 4, 0, 0]
    assert summary == pytest.approx([math.log1p(value) for value in expected])
    assert summarize({"a": -3})[1] == pytest.approx(-math.log1p(3))

"""Services found in a folder and loaded from their files."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from rookery.errors import DefinitionError
from rookery.service.discovery import find_services, load_service

SOUND = """
from __future__ import annotations

from pydantic import BaseModel

from rookery import Regression, Service


class Point(BaseModel):
    x: float


service = Service(name="{name}", input=Point, task=Regression())
"""


def write(folder: Path, name: str, text: str = SOUND) -> Path:
    (folder / name).mkdir(parents=True)
    file = folder / name / "service.py"
    file.write_text(text.replace("{name}", name))
    return file


def failure(folder: Path, name: str) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        load_service(folder, name)
    return caught.value


def test_every_folder_with_a_service_file_is_a_service(tmp_path: Path) -> None:
    write(tmp_path, "b")
    write(tmp_path, "a")
    write(tmp_path, ".hidden")
    write(tmp_path, "_draft")
    (tmp_path / "data").mkdir()
    (tmp_path / "service.py").write_text("")
    assert list(find_services(tmp_path)) == ["a", "b"]
    assert find_services(tmp_path)["a"] == tmp_path / "a" / "service.py"


def test_a_folder_that_is_not_there_holds_no_services(tmp_path: Path) -> None:
    assert find_services(tmp_path / "nowhere") == {}


def test_a_service_is_loaded_from_its_file(tmp_path: Path) -> None:
    write(tmp_path, "my-points_2")
    service = load_service(tmp_path, "my-points_2")
    assert service.name == "my-points_2"
    assert [column.name for column in service.schema.columns] == ["x"]


def test_a_service_may_have_helpers_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "points", SOUND + "\nfrom .loading import ANSWER\n")
    (tmp_path / "points" / "loading.py").write_text("ANSWER = 42\n")
    service = load_service(tmp_path, "points")
    assert sys.modules[service.input.__module__].ANSWER == 42


def test_a_changed_file_and_its_helpers_are_loaded_anew(tmp_path: Path) -> None:
    file = write(tmp_path, "points", SOUND + "\nfrom .loading import ANSWER\n")
    helper = tmp_path / "points" / "loading.py"
    helper.write_text("ANSWER = 42\n")
    load_service(tmp_path, "points")
    file.write_text(
        SOUND.replace("{name}", "points").replace("x: float", "longer: float") + "\nfrom .loading import ANSWER\n"
    )
    helper.write_text("ANSWER = 'changed'\n")
    service = load_service(tmp_path, "points")
    assert [column.name for column in service.schema.columns] == ["longer"]
    assert sys.modules[service.input.__module__].ANSWER == "changed"


def test_equally_named_services_of_two_folders_stay_apart(tmp_path: Path) -> None:
    write(tmp_path / "one", "points")
    write(tmp_path / "two", "points", SOUND.replace("x: float", "y: float"))
    first, second = load_service(tmp_path / "one", "points"), load_service(tmp_path / "two", "points")
    assert first.input.__module__ != second.input.__module__
    assert (first.schema.columns[0].name, second.schema.columns[0].name) == ("x", "y")


def test_an_unknown_service_is_told_with_the_nearest_known(tmp_path: Path) -> None:
    write(tmp_path, "penguins")
    write(tmp_path, "iris")
    assert failure(tmp_path, "pengins").cure == "Did you mean 'penguins'?"
    assert failure(tmp_path, "zebra").cure == "There are iris, penguins"
    assert "rookery new zebra" in failure(tmp_path / "nowhere", "zebra").cure


def test_a_name_that_leaves_the_folder_is_unknown(tmp_path: Path) -> None:
    write(tmp_path / "inner", "a")
    write(tmp_path, "outside")
    assert "no service '../outside'" in failure(tmp_path / "inner", "../outside").message


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("x = 1\n\ny = x / 0\n", 3, "ZeroDivisionError: division by zero"),
        ("import not_installed_anywhere\n", 1, "ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("x = 1\nif x\n    pass\n", 2, "SyntaxError: "),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("def inner():\n    return int('x')\n\ninner()\n", 2, "ValueError: invalid literal"),
        ("import json\n\njson.loads('{')\n", 3, "JSONDecodeError"),
    ],
)
def test_a_file_that_fails_is_told_with_its_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    file = write(tmp_path, "broken", text)
    error = failure(tmp_path, "broken")
    assert error.message.startswith(f"{file}:{line} fails when it is loaded")
    assert reason in error.message
    assert not any(name.startswith("rookery_service_broken") for name in sys.modules)


def test_a_contradictory_definition_is_told_with_its_line_and_cure(tmp_path: Path) -> None:
    file = write(tmp_path, "points", SOUND.replace("x: float", "x: str"))
    error = failure(tmp_path, "points")
    line = file.read_text().splitlines().index('service = Service(name="points", input=Point, task=Regression())') + 1
    assert error.message == f"{file}:{line}: points: Point.x: str cannot become a column"
    assert "Literal['red', 'green']" in error.cure


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "defines no `service`"),
        ("service = 'points'\n", "defines a `service` that is a str"),
        (SOUND.replace("{name}", "other"), "defines the service 'other' in the folder 'points'"),
    ],
)
def test_a_file_without_the_service_it_is_named_for_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "points", text)
    error = failure(tmp_path, "points")
    assert re.search(re.escape(message), error.message)
    assert error.cure

"""Services that take pictures, in this process: the local client asks them, and broken promises are noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rookery.errors import PackageError
from rookery.export.function_package import package_function
from rookery.service.definition import Service
from rookery.service.picture_prediction import PicturePrediction
from rookery.service.policies import Limits
from rookery.testing.check import check_service
from rookery.testing.client import LocalClient
from rookery.testing.imports import training_libraries_of_a_server
from rookery.testing.picture_promises import PICTURE_PROMISES
from tests.package.functions import BODY, CODE, write_function
from tests.services.pictures import lively

SMALL = lively(width=40, height=30)


@pytest.fixture
def light(tmp_path: Path) -> Service:
    return write_function(tmp_path / "services")


@pytest.fixture
def package(light: Service, tmp_path: Path) -> Path:
    package_function(light, tmp_path / "package")
    return tmp_path / "package"


def test_the_client_asks_one_picture_with_parameters(light: Service, package: Path) -> None:
    with LocalClient(package, service=light) as client:
        answer = client.predict_picture(SMALL, factor=2)
        assert answer == {"brightness": 2 * client.predict_picture(SMALL)["brightness"]}
        with pytest.raises(AssertionError, match="factor"):
            client.predict_picture(SMALL, factor=11)
        with pytest.raises(AssertionError, match="text file"):
            client.predict_picture(b"this is certainly no picture at all")


def test_the_client_asks_many_pictures_in_their_order(light: Service, package: Path) -> None:
    pictures = [lively(number, width=40, height=30) for number in range(3)]
    with LocalClient(package, service=light) as client:
        together = client.predict_pictures([(f"{number}.png", data) for number, data in enumerate(pictures)], factor=3)
        assert together == [client.predict_picture(data, factor=3) for data in pictures]


def test_a_function_without_respond_answers_its_result_and_who_it_is(tmp_path: Path) -> None:
    service = write_function(tmp_path / "bare", code=CODE.replace(", respond=lambda p: dict(p.result)", ""))
    package_function(service, tmp_path / "package")
    with LocalClient(tmp_path / "package", service=service, version="4") as client:
        answer = client.predict_picture(SMALL)
    assert answer["brightness"] > 0
    assert (answer["version"], answer["model"]) == ("4", "light")
    assert answer["request_id"]


def test_a_function_cannot_be_asked_without_its_code(package: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="cannot be opened alone"):
        LocalClient(package)
    with pytest.raises(PackageError, match="other code"):
        LocalClient(package, service=write_function(tmp_path / "other", f"{BODY} + 0"))


def test_a_package_of_another_picture_is_refused(light: Service, package: Path, tmp_path: Path) -> None:
    """The code is the same; what it is given is not."""
    other = write_function(tmp_path / "rgb", code=CODE.replace('Image(mode="L")', "Image()"))
    with LocalClient(package, service=light) as client, pytest.raises(PackageError, match="another input model"):
        LocalClient(client.package, service=other)


def test_a_function_keeps_every_promise_and_the_report_says_which(light: Service, package: Path) -> None:
    report = check_service(light, package)
    assert len(report.promises) == len(PICTURE_PROMISES)
    assert all(sentence.endswith(".") for sentence in report.promises)
    assert check_service(light).inputs == report.inputs == 4


class Narrow(BaseModel):
    brightness: float


def talkative(prediction: PicturePrediction) -> dict[str, Any]:
    return {**prediction.result, "internal": 1}


def brittle(prediction: PicturePrediction) -> dict[str, Any]:
    if prediction.picture.format == "WEBP":
        raise ValueError("not for these")
    return dict(prediction.result)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": Narrow, "respond": talkative}, "'internal', which Narrow does not show"),
        ({"respond": brittle}, "picture-2.webp in a form got 500"),
        ({"limits": Limits(body_bytes=3_000)}, "pictures are answered.* got 413"),
    ],
)
def test_broken_promises_are_told_with_their_place(
    light: Service, package: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        check_service(replace(light, **changes), package)


def test_an_answer_that_depends_on_chance_is_noticed(tmp_path: Path) -> None:
    """Even where the answer is the code's own, and not only that of `respond`."""
    code = CODE.replace("def brightness", "STATE = [0]\n\n\ndef brightness")
    body = 'float(picture.mean()) * parameters["factor"] + (STATE.__setitem__(0, STATE[0] + 1) or STATE[0] * 1e-9)'
    service = write_function(tmp_path, body, code)
    with pytest.raises(AssertionError, match=r"picture batches answer as singles: .* in a batch, alone"):
        check_service(service)


def test_a_server_that_loads_a_training_library_is_noticed(tmp_path: Path) -> None:
    """Unless the code itself computes with it, which the definition then says."""
    code = CODE.replace("    if parameters", "    import scipy.stats\n\n    if parameters")
    service = write_function(tmp_path / "services", code=code)
    with pytest.raises(AssertionError, match="serving the package loads scipy"):
        check_service(service)
    declared = write_function(tmp_path / "declared", code=code.replace('("numpy",)', '("numpy", "scipy")'))
    assert check_service(declared).service == "light"


def test_a_process_that_cannot_serve_a_function_is_told(package: Path) -> None:
    with pytest.raises(AssertionError, match="cannot be opened alone"):
        training_libraries_of_a_server(package, SMALL)

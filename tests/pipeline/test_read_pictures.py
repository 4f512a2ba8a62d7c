"""`read` for pictures: names made safe, parameters checked, envelopes read, faulty calls taken out alone."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from rookery.errors import InvalidInput, InvalidPicture, MalformedRequest, PayloadTooLarge
from rookery.fields.pictures.spec import Image
from rookery.pipeline.call import Call, CallKind, Pass, PictureCall
from rookery.pipeline.picture import LONGEST_NAME, Upload, sanitize_filename
from rookery.pipeline.read_pictures import ReadPictures
from rookery.service.contract import contract_of
from rookery.service.definition import Service
from rookery.service.policies import Limits
from tests.services.pictures import lively

PNG = lively(width=60, height=40)


class Sent(BaseModel):
    """A picture, and one parameter of each kind."""

    image: Annotated[bytes, Image(formats=("PNG", "TIFF"), strict_names=True)]
    count: int = Field(5, ge=1, le=10)
    share: float = Field(0.5, ge=0, le=1)
    deep: bool = False
    method: Literal["fast", "good"] = "fast"
    most: float | None = None


def answer(picture: Any, parameters: Any) -> dict[str, Any]:
    """Stand in for a service's code."""
    return {}


def reader(*, status: Literal[400, 422] = 422, model: type[BaseModel] = Sent) -> ReadPictures:
    """Return the stage of a service that takes at most three pictures."""
    service = Service(name="sent", input=model, function=answer, invalid_status=status, limits=Limits(rows=3))
    picture = service.schema.picture
    assert picture is not None
    return ReadPictures(contract_of(service), picture)


def send(*files: Upload, kind: CallKind = "single", texts: Mapping[str, str] | None = None) -> PictureCall:
    """Return a call with such files and parameters."""
    return PictureCall(kind, files, list((texts or {}).items()), time.perf_counter())


def read(*calls: Call, stage: ReadPictures | None = None) -> Pass:
    """Read calls."""
    work = Pass(list(calls))
    (stage or reader())(work)
    return work


def test_a_picture_is_read_by_its_envelope_and_its_parameters_by_their_kinds() -> None:
    call = send(
        Upload("a/b.png", PNG),
        texts={"count": " 7 ", "share": "1", "deep": "on", "method": "good", "most": ""},
    )
    assert read(call).calls == [call]
    assert call.parameters == {"count": 7, "share": 1.0, "deep": True, "method": "good", "most": None}
    (picture,) = call.pictures
    assert picture.facts == ("b.png", "PNG", 60, 40)
    assert picture.digest == hashlib.sha256(PNG).digest()


def test_parameters_that_are_not_sent_have_their_defaults() -> None:
    call = send(Upload(None, PNG))
    read(call)
    assert call.parameters == {"count": 5, "share": 0.5, "deep": False, "method": "fast", "most": None}


def test_a_faulty_call_leaves_and_the_rows_of_the_others_close_up() -> None:
    first = send(Upload("a.png", PNG), Upload("b.png", PNG), kind="batch")
    bad, last = send(Upload("c.png", b"no picture")), send(Upload("d.png", PNG))
    work = read(first, bad, Call("single", b"{}", 0.0), last)
    assert work.calls == [first, last]
    assert [(call.start, call.stop) for call in work.calls] == [(0, 2), (2, 3)]
    assert isinstance(bad.error, InvalidPicture)


def test_json_is_told_how_pictures_are_sent() -> None:
    call = Call("single", b"{}", 0.0)
    read(call)
    assert isinstance(call.error, MalformedRequest)
    assert "'image' of multipart/form-data" in str(call.error)


@pytest.mark.parametrize(
    ("texts", "place", "told"),
    [
        ({"count": "0"}, "count", "count=0 is below 1"),
        ({"count": "-1"}, "count", "count=-1 is below 1"),
        ({"count": "11"}, "count", "count=11 is above 10"),
        ({"count": "five"}, "count", "takes a whole number, 1 to 10"),
        ({"count": "2.5"}, "count", "whole number"),
        ({"count": "3.0"}, "count", "whole number"),
        ({"count": ""}, "count", "takes a whole number"),
        ({"count": "9" * 400}, "count", ""),
        ({"share": "nan"}, "share", "takes a number, 0 to 1"),
        ({"share": "inf"}, "share", "takes a number, 0 to 1"),
        ({"share": "1e999"}, "share", "takes a number, 0 to 1"),
        ({"deep": "perhaps"}, "deep", "takes true or false"),
        ({"method": "FAST"}, "method", "not one of 'fast', 'good'"),
        ({"cuont": "3"}, "cuont", "did you mean count"),
        ({"": "3"}, "", ""),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(texts: dict[str, str], place: str, told: str) -> None:
    listed, phrased = send(Upload(None, PNG), texts=texts), send(Upload(None, PNG), texts=texts)
    read(listed)
    assert isinstance(listed.error, InvalidInput)
    assert listed.error.details[0]["loc"] == ["body", place]
    assert told in listed.error.details[0]["msg"]
    read(phrased, stage=reader(status=400))
    assert isinstance(phrased.error, MalformedRequest)
    assert place in str(phrased.error)
    assert told in str(phrased.error)


def test_a_parameter_that_is_sent_twice_is_named() -> None:
    call = PictureCall("single", [Upload(None, PNG)], [("count", "3"), ("count", "3")], 0.0)
    read(call)
    assert isinstance(call.error, InvalidInput)
    assert "twice" in call.error.details[0]["msg"]


def test_a_service_without_parameters_takes_none() -> None:
    class Alone(BaseModel):
        image: Annotated[bytes, Image()]

    good, bad = send(Upload(None, PNG)), send(Upload(None, PNG), texts={"size": "3"})
    assert read(good, bad, stage=reader(model=Alone)).calls == [good]
    assert good.parameters == {}
    assert "'size' is no parameter here" in str(bad.error)


def test_pictures_are_counted() -> None:
    none, many = send(), send(*[Upload(None, PNG)] * 4, kind="batch")
    assert read(none, many).calls == []
    assert "no file 'image'" in str(none.error)
    assert isinstance(many.error, PayloadTooLarge)


def test_one_of_several_is_named_by_its_place_and_its_safe_name() -> None:
    call = send(Upload("a.png", PNG), Upload("../<b>.png", b"x"), kind="batch")
    read(call)
    assert str(call.error).startswith("file 1 (_b_.png): ")


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [("x.png", True), ("x.TIFF", True), ("x", True), ("photo.2024-01-01", True), (None, True),
     ("x.exe", False), ("x.jpg", False), ("x.png.exe", False)],
)  # fmt: skip
def test_strict_names_refuse_what_is_called_otherwise(name: str | None, is_taken: bool) -> None:
    call = send(Upload(name, PNG))
    read(call)
    assert (call.error is None) is is_taken


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (None, None),
        ("", None),
        (".", None),
        ("..", None),
        ("/", None),
        ("dog.jpg", "dog.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\dog.jpg", "dog.jpg"),
        ("a\r\nX-Evil: 1.png", "a__X-Evil_ 1.png"),
        ("<img src=x>.png", "_img src=x_.png"),
        ("Äpfel (1).png", "Äpfel (1).png"),
        ("A\u0308.png", "Ä.png"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("x\0.png", "x_.png"),
        (" .hidden. ", "hidden"),
        ("x" * 10_000 + ".png", "x" * (LONGEST_NAME - 4) + ".png"),
        ("x." + "y" * 10_000, ("x." + "y" * 10_000)[:LONGEST_NAME]),
    ],
)
def test_a_name_is_shown_without_folders_control_characters_and_markup(name: str | None, shown: str | None) -> None:
    assert sanitize_filename(name) == shown


@given(st.text(max_size=300))
def test_no_name_is_dangerous_and_a_safe_one_stays(name: str) -> None:
    shown = sanitize_filename(name)
    if shown is None:
        return
    assert 0 < len(shown) <= LONGEST_NAME
    assert not set(shown) & set("/\\<>&\"'`\0\r\n\t;:|*?%$")
    assert shown.isprintable()
    assert sanitize_filename(shown) == shown

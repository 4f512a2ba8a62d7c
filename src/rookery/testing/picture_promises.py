"""The promises that a service makes which takes pictures, each a check that yields where it is broken."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rookery.fields.pictures.generated import generate_picture
from rookery.fields.schema import PictureField
from rookery.service.contract import Contract
from rookery.testing.asgi import LocalResponse
from rookery.testing.client import LocalClient
from rookery.testing.forms import File, encode_form
from rookery.testing.promises import fits, is_strict_json, pages_answer

PICTURES = 4
FORM = {"content-type": "multipart/form-data; boundary=x"}


@dataclass(frozen=True, slots=True)
class PictureSubject:
    """A service under examination, and pictures that it must answer."""

    client: LocalClient
    files: list[File]

    @property
    def contract(self) -> Contract:
        """How the service speaks."""
        return self.client.contract

    @property
    def picture(self) -> PictureField:
        """The picture that it takes."""
        picture = self.contract.schema.picture
        if picture is None:
            raise ValueError(f"{self.contract.name} takes no picture")
        return picture

    @property
    def refused(self) -> int:
        """The status of parameters that break their schema."""
        return self.contract.invalid_status

    def send(self, *files: File, path: str = "", **texts: object) -> LocalResponse:
        """Send files and texts as a form."""
        return self.client.post_pictures(path or self.contract.paths[0], list(files), texts)


def make_subject(client: LocalClient) -> PictureSubject:
    """Return a subject with generated pictures, in each format that the service takes."""
    from PIL import Image as Pillow  # comes with the extra that picture services need

    picture = client.contract.schema.picture
    formats = ("PNG",) if picture is None else picture.image.formats
    files = []
    for number in range(PICTURES):
        name = formats[number % len(formats)]
        stream = io.BytesIO()
        Pillow.fromarray(generate_picture(number, width=96, height=64)).save(stream, name)
        files.append((f"picture-{number}.{'jpg' if name == 'JPEG' else name.lower()}", stream.getvalue()))
    return PictureSubject(client, files)


PicturePromise = Callable[[PictureSubject], Iterator[str]]


def pictures_are_answered(subject: PictureSubject) -> Iterator[str]:
    """Pictures get 200 and strict JSON on every declared path, as a form's file and as the body itself."""
    for path in subject.contract.paths:
        for name, data in subject.files:
            as_form = subject.send((name, data), path=path)
            raw = subject.client.request("POST", path, content=data, headers={"content-type": "image/x"})
            for way, response in (("in a form", as_form), ("as the body", raw)):
                what = f"{path}: {name} {way}"
                if response.status != 200:
                    yield f"{what} got {response.status}: {response.text[:300]}"
                    continue
                yield from is_strict_json(response, what)
                missing = {"x-request-id", "x-model-version"} - set(response.headers)
                if missing:
                    yield f"{what} got no header {', '.join(sorted(missing))}"


def picture_answers_fit_the_output_model(subject: PictureSubject) -> Iterator[str]:
    """Every answer is an instance of the output model, with no field that the model does not show."""
    if subject.contract.output is not None:
        for file in subject.files:
            response = subject.send(file)
            if response.status == 200:
                yield from fits(subject.contract.output, response.json(), f"the answer to {file[0]}")


def what_is_no_picture_is_refused(subject: PictureSubject) -> Iterator[str]:
    """Missing, empty, cut, disguised and foreign files get 400 with a reason, never a 500."""
    _, data = subject.files[0]
    for what, response in (
        ("a form without a file", subject.send()),
        ("an empty file", subject.send(("empty.png", b""))),
        ("half a picture", subject.send(("half.png", data[: len(data) // 2]))),
        ("a text", subject.send(("text.png", b"not a picture at all"))),
        ("a GIF", subject.send(("moving.png", b"GIF89a" + b"\0" * 40))),
        ("two files", subject.send(subject.files[0], subject.files[1])),
        ("no form at all", subject.client.request("POST", subject.contract.paths[0])),
        ("a broken form", subject.client.request("POST", subject.contract.paths[0], content=b"--x", headers=FORM)),
    ):
        yield from _is(what, response, 400)


def bad_parameters_are_refused(subject: PictureSubject) -> Iterator[str]:
    """An unknown parameter, and one of each kind of wrong value, get the service's status with its name."""
    yield from _is("an unknown parameter", subject.send(subject.files[0], no_such_parameter=1), subject.refused)
    schema = subject.picture.parameters
    for column in () if schema is None else schema.columns:
        response = subject.send(subject.files[0], **{column.field: "?!"})
        yield from _is(f"{column.field}='?!'", response, subject.refused)
        if column.field not in response.text:
            yield f"{column.field}='?!' is refused without naming it: {response.text[:300]}"


def picture_batches_answer_as_singles(subject: PictureSubject) -> Iterator[str]:
    """Several files get the answers that each gets alone; a bad one among them is named by its place."""
    together = subject.send(*subject.files, path="/predict/batch")
    if together.status != 200:
        yield f"a batch of {len(subject.files)} pictures got {together.status}: {together.text[:300]}"
        return
    answers = together.json()["predictions"]
    if len(answers) != len(subject.files):
        yield f"{len(subject.files)} pictures got {len(answers)} answers"
    for file, answer in zip(subject.files, answers, strict=False):
        alone = subject.send(file).json()
        if set(answer) != set(alone):
            yield f"{file[0]} is answered with {sorted(answer)} in a batch, with {sorted(alone)} alone"
    spoiled = subject.send(subject.files[0], ("bad.png", b"no picture"), path="/predict/batch")
    yield from _is("a bad file in a batch", spoiled, 400)
    if "file 1" not in spoiled.text:
        yield f"a bad second file is not named: {spoiled.text[:300]}"
    limit = subject.contract.limits.rows
    yield from _is(f"{limit + 1} files", subject.send(*[subject.files[0]] * (limit + 1), path="/predict/batch"), 413)


def picture_limits_hold(subject: PictureSubject) -> Iterator[str]:
    """Too many bytes get 413, other content types and compressed bodies 415."""
    path, limit = subject.contract.paths[0], subject.contract.limits.body_bytes
    body, kind = encode_form(subject.picture.name, [subject.files[0]])
    long = {"content-type": kind, "content-length": str(limit + 1)}
    for what, status, headers in (
        (f"a body of {limit + 1} bytes", 413, long),
        ("a body of JSON", 415, {"content-type": "application/json"}),
        ("a gzip body", 415, {"content-type": kind, "content-encoding": "gzip"}),
    ):
        yield from _is(what, subject.client.request("POST", path, content=body, headers=headers), status)


def picture_pages_answer_as_documented(subject: PictureSubject) -> Iterator[str]:
    """Every documented GET answers with a documented status; unknown paths get 404, wrong methods 405."""
    yield from pages_answer(subject.client)


PICTURE_PROMISES: tuple[PicturePromise, ...] = (
    pictures_are_answered,
    picture_answers_fit_the_output_model,
    what_is_no_picture_is_refused,
    bad_parameters_are_refused,
    picture_batches_answer_as_singles,
    picture_limits_hold,
    picture_pages_answer_as_documented,
)


def _is(what: str, response: LocalResponse, status: int) -> Iterator[str]:
    if response.status != status:
        yield f"{what} got {response.status}, expected {status}: {response.text[:300]}"
        return
    yield from is_strict_json(response, what)
    detail: Mapping[str, Any] = response.json()
    if not detail.get("detail"):
        yield f"{what} is refused without a reason"

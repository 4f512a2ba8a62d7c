"""The promises that a service makes which takes pictures, each a check that yields where it is broken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rookery.service.discovery import FILE_NAME
from rookery.testing.asgi import LocalResponse
from rookery.testing.forms import encode_form
from rookery.testing.imports import training_libraries_of_a_server
from rookery.testing.picture_inputs import (
    BAD_TEXT,
    PictureSubject,
    add_ballast,
    compute_result,
    send_bad_files,
    send_bad_parameters,
)
from rookery.testing.promises import fits, is_strict_json, pages_answer, stays_light
from rookery.testing.varying import varying_fields, without

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
    for what, response in send_bad_files(subject):
        yield from _is(what, response, 400)


def bad_parameters_are_refused(subject: PictureSubject) -> Iterator[str]:
    """An unknown parameter, and one of each kind of wrong value, get the service's status with its name."""
    for name, response in send_bad_parameters(subject):
        yield from _is(f"{name}={BAD_TEXT!r}", response, subject.refused)
        if name not in response.text:
            yield f"{name}={BAD_TEXT!r} is refused without naming it: {response.text[:300]}"


def picture_batches_answer_as_singles(subject: PictureSubject) -> Iterator[str]:
    """Several files get the answers that each gets alone; a bad one among them is named by its place."""
    together = subject.send(*subject.files, path="/predict/batch")
    if together.status != 200:
        yield f"a batch of {len(subject.files)} pictures got {together.status}: {together.text[:300]}"
        return
    answers = together.json()["predictions"]
    if len(answers) != len(subject.files):
        yield f"{len(subject.files)} pictures got {len(answers)} answers"
    varying = varying_fields(subject.contract, compute_result(subject))
    for file, answer in zip(subject.files, answers, strict=False):
        alone = subject.send(file).json()
        if without(alone, varying) != without(answer, varying):
            yield f"{file[0]} is answered {answer} in a batch, alone {alone}"
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
    for what, status, content, headers in (
        (f"a body of {limit + 1} bytes", 413, body + b" " * (limit + 1 - len(body)), {"content-type": kind}),
        ("a body of JSON", 415, body, {"content-type": "application/json"}),
        ("a gzip body", 415, body, {"content-type": kind, "content-encoding": "gzip"}),
    ):
        yield from _is(what, subject.client.request("POST", path, content=content, headers=headers), status)


def the_largest_files_are_answered(subject: PictureSubject) -> Iterator[str]:
    """A picture whose file is as long as a body may be is answered as it is without the ballast."""
    (name, data), limit = subject.files[0], subject.contract.limits.body_bytes
    if not data.startswith(b"\x89PNG"):
        return
    frame = len(encode_form(subject.picture.name, [(name, b"")])[0])
    heavy = add_ballast(data, limit - frame - len(data))
    response = subject.send((name, heavy))
    if response.status != 200:
        yield f"a picture of {len(heavy)} bytes got {response.status}, the limit is {limit}: {response.text[:300]}"
        return
    varying = varying_fields(subject.contract, compute_result(subject))
    light = subject.send((name, data)).json()
    if without(light, varying) != without(response.json(), varying):
        yield f"a picture of {len(heavy)} bytes is answered otherwise than without what is no pixel of it"


def picture_pages_answer_as_documented(subject: PictureSubject) -> Iterator[str]:
    """Every documented GET answers with a documented status; unknown paths get 404, wrong methods 405."""
    yield from pages_answer(subject.client)


def picture_refusals_are_documented(subject: PictureSubject) -> Iterator[str]:
    """Every status that bad requests get is in the API's documentation."""
    operation = subject.client.get("/openapi.json").json()["paths"][subject.contract.paths[0]]["post"]
    documented = set(operation["responses"])
    for what, response in (*send_bad_files(subject), *send_bad_parameters(subject)):
        if str(response.status) not in documented:
            yield f"{what} got {response.status}, documented are {', '.join(sorted(documented))}"


def picture_servers_stay_light(subject: PictureSubject) -> Iterator[str]:
    """A process that serves the package has loaded no training library, but for those that its own code needs."""
    service, code = subject.service, None
    if service.function is not None:
        source = sys.modules[str(getattr(service.function, "__module__", ""))].__file__
        code = Path(source or "").parent
        if code.name != service.name or not (code / FILE_NAME).is_file():
            return  # it was not loaded from a folder of services, so no other process can load it
    yield from stays_light(
        training_libraries_of_a_server(
            subject.client.package.directory, subject.files[0][1], code=code, libraries=service.libraries
        )
    )


PICTURE_PROMISES: tuple[PicturePromise, ...] = (
    pictures_are_answered,
    picture_answers_fit_the_output_model,
    what_is_no_picture_is_refused,
    bad_parameters_are_refused,
    picture_batches_answer_as_singles,
    picture_limits_hold,
    the_largest_files_are_answered,
    picture_pages_answer_as_documented,
    picture_refusals_are_documented,
    picture_servers_stay_light,
)


def _is(what: str, response: LocalResponse, status: int) -> Iterator[str]:
    if response.status != status:
        yield f"{what} got {response.status}, expected {status}: {response.text[:300]}"
        return
    yield from is_strict_json(response, what)
    detail: Mapping[str, Any] = response.json()
    if not detail.get("detail"):
        yield f"{what} is refused without a reason"

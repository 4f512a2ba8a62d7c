"""`read` for pictures: only the envelope, that is format, size and digest, and the parameters beside it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from rookery.errors import (
    InferenceFailed,
    InvalidInput,
    InvalidPicture,
    MalformedRequest,
    PayloadTooLarge,
    RequestError,
)
from rookery.fields.pictures.header import read_header
from rookery.fields.pictures.schema import parse_parameters
from rookery.fields.problems import describe_problems
from rookery.fields.schema import PictureField
from rookery.pipeline.call import Call, Pass, PictureCall
from rookery.pipeline.picture import Picture, Upload, sanitize_filename
from rookery.service.contract import Contract
from rookery.service.picture_prediction import PictureFacts

EXTENSIONS: Mapping[str, tuple[str, ...]] = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"),
    "PNG": ("png",),
    "WEBP": ("webp",),
    "TIFF": ("tif", "tiff"),
}
"""The endings that files of each format have."""

_EXTENSION = re.compile(r"\.([A-Za-z][A-Za-z0-9]{0,7})$")


class ReadPictures:
    """Read every upload's header and every parameter; nothing is decoded."""

    def __init__(self, contract: Contract, picture: PictureField) -> None:
        self._contract = contract
        self._picture = picture

    def __call__(self, work: Pass) -> None:
        """Give each call its pictures, one row of the pass each; calls with faulty ones leave it."""
        row = 0
        for call in work.calls:
            try:
                if not isinstance(call, PictureCall):
                    raise MalformedRequest(f"{self._contract.name}: a picture is expected", cure=self._how_to_send())
                self._read(call)
            except RequestError as error:
                call.error = error
                continue
            call.start, row = row, row + len(call.pictures)
            call.stop = row
        work.calls = [call for call in work.calls if call.error is None]

    def _read(self, call: PictureCall) -> None:
        limit = self._contract.limits.rows
        if not call.uploads:
            raise InvalidPicture(
                f"{self._contract.name}: the request has no file {self._picture.name!r}", cure=self._how_to_send()
            )
        if len(call.uploads) > limit:
            raise PayloadTooLarge(
                f"{self._contract.name}: {len(call.uploads)} files are more than the limit of {limit}"
            )
        call.parameters = self._read_parameters(call.form)
        for place, upload in enumerate(call.uploads):
            try:
                call.pictures.append(self._read_upload(upload))
            except InvalidPicture as error:
                raise locate(error, call, place) from error

    def _how_to_send(self) -> str:
        name, image = self._picture.name, self._picture.image
        return f"Send a {image.accepted} as the part {name!r} of multipart/form-data, or as the body itself (image/*)"

    def _read_upload(self, upload: Upload) -> Picture:
        self._check_name(upload.filename)
        header = read_header(upload.data, self._picture.image)
        # Whoever asks for the same again is told by it; it is what the journal keeps of a picture, too.
        digest = hashlib.sha256(upload.data).digest()
        facts = PictureFacts(sanitize_filename(upload.filename), header.format, header.width, header.height)
        return Picture(upload.data, header, digest, facts)

    def _check_name(self, filename: str | None) -> None:
        """Refuse a file whose name ends as no picture does that is read here, where the service asks for it."""
        image = self._picture.image
        found = _EXTENSION.search(filename or "")
        if found is None or not image.strict_names:
            return
        if not any(found[1].lower() in EXTENSIONS[name] for name in image.formats):
            raise InvalidPicture(f"a file called .{found[1]} is not read", cure=f"Send {image.accepted}, named so")

    def _read_parameters(self, form: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
        """Return every parameter by name, defaults filled in.

        Raises:
            InvalidInput, MalformedRequest: a parameter is unknown, sent twice, or not allowed by its field.
        """
        names = [name for name, _ in form]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise self._refuse([_problem("duplicate", doubles[0], f"{doubles[0]!r:.100} is sent twice")])
        schema = self._picture.parameters
        if schema is None:
            if names:
                raise self._refuse([_problem("extra_forbidden", names[0], f"{names[0]!r:.100} is no parameter here")])
            return {}
        try:
            values = schema.model.model_validate(parse_parameters(schema, dict(form)))
        except ValidationError as error:
            raise self._refuse(describe_problems(error, schema, prefix=("body",))) from error
        return values.model_dump(mode="json")

    def _refuse(self, details: list[dict[str, Any]]) -> RequestError:
        message = f"{self._contract.name}: {details[0]['msg']}"
        return InvalidInput(message, details) if self._contract.invalid_status == 422 else MalformedRequest(message)


def _problem(kind: str, name: str, message: str) -> dict[str, Any]:
    return {"type": kind, "loc": ["body", name[:100]], "msg": message, "input": None}


def locate(error: RequestError, call: Call, place: int) -> RequestError:
    """Return a fault of one picture, with its place among several and its name; other errors are the call's own."""
    is_fault = isinstance(error, (InvalidPicture, InferenceFailed))
    if not is_fault or call.kind != "batch" or not isinstance(call, PictureCall):
        return error
    name = sanitize_filename(call.uploads[place].filename)
    where = f"file {place}" + (f" ({name})" if name else "")
    return type(error)(f"{where}: {error.message}", cure=error.cure)

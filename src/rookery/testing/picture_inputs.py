"""Pictures for a service that takes some: good ones, and what must be refused."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from rookery.fields.pictures.generated import generate_picture
from rookery.fields.pictures.header import read_header
from rookery.fields.schema import PictureField
from rookery.service.contract import Contract
from rookery.service.definition import Service
from rookery.testing.asgi import LocalResponse
from rookery.testing.client import LocalClient
from rookery.testing.forms import File

PICTURES = 4
BAD_TEXT = "?!"
"""A parameter's value that no kind of parameter takes."""
FORM = {"content-type": "multipart/form-data; boundary=x"}


@dataclass(frozen=True, slots=True)
class PictureSubject:
    """A service under examination, and pictures that it must answer."""

    client: LocalClient
    service: Service
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


def make_subject(client: LocalClient, service: Service) -> PictureSubject:
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
    return PictureSubject(client, service, files)


def send_bad_files(subject: PictureSubject) -> Iterator[tuple[str, LocalResponse]]:
    """Send what is no picture; yield each thing with the response that it got."""
    (_, data), path = subject.files[0], subject.contract.paths[0]
    yield "a form without a file", subject.send()
    yield "an empty file", subject.send(("empty.png", b""))
    yield "half a picture", subject.send(("half.png", data[: len(data) // 2]))
    yield "a text", subject.send(("text.png", b"not a picture at all"))
    yield "a GIF", subject.send(("moving.png", b"GIF89a" + b"\0" * 40))
    yield "two files", subject.send(subject.files[0], subject.files[1])
    yield "no form at all", subject.client.request("POST", path)
    yield "a broken form", subject.client.request("POST", path, content=b"--x", headers=FORM)


def send_bad_parameters(subject: PictureSubject) -> Iterator[tuple[str, LocalResponse]]:
    """Send an unknown parameter, and a bad value for each known one; yield its name with the response."""
    schema = subject.picture.parameters
    for name in ("no_such_parameter", *(column.field for column in (() if schema is None else schema.columns))):
        yield name, subject.send(subject.files[0], **{name: BAD_TEXT})


def compute_result(subject: PictureSubject) -> dict[str, msgspec.Raw] | None:
    """Return what a service's own code says of a picture, field by field as JSON; None where a model answers."""
    from rookery.fields.pictures.fit import prepare_picture  # needs Pillow, as `make_subject` does

    code, data, spec = subject.client.package.code, subject.files[0][1], subject.picture.image
    if code is None:
        return None
    result = code.run(prepare_picture(data, read_header(data, spec), spec), code.defaults)
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in result.items()}


def add_ballast(data: bytes, size: int) -> bytes:
    """Return a PNG that is longer by so many bytes, in a chunk that every decoder passes over."""
    kind, content = b"paDd", bytes(max(0, size - 12))
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data[:-12] + chunk + data[-12:]

"""Requests with files: a form (multipart/form-data, RFC 7578), or a file as the body itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rookery.errors import MalformedRequest, UnsupportedMedia
from rookery.pipeline.picture import Upload

LARGEST_TEXT = 1_000
"""Bytes of a form's text: parameters are numbers and words."""
MOST_PARTS = 1_000
"""Parts of one form: each of them costs more to look at than to send."""
RAW_TYPES = (b"image/", b"application/octet-stream")
"""How the content types of bodies begin that are a file themselves."""


@dataclass(slots=True)
class Form:
    """A request's files and texts, in the order in which they were sent."""

    files: list[tuple[str, Upload]] = field(default_factory=list)
    """By the names of their parts."""
    texts: list[tuple[str, str]] = field(default_factory=list)


def is_form_type(value: bytes) -> bool:
    """Tell whether a `Content-Type` names a form or a file."""
    media = value.split(b";")[0].strip().lower()
    return media == b"multipart/form-data" or media.startswith(RAW_TYPES)


def read_form(content_type: bytes, body: bytes, *, field_name: str) -> Form:
    """Return the files and texts of a whole body; a file that is the body itself gets `field_name`.

    Raises:
        UnsupportedMedia: the body is declared to be neither.
        MalformedRequest: the form is not one, or breaks off.
    """
    media = content_type.split(b";")[0].strip().lower()
    if not media and not body:
        return Form()
    if media.startswith(RAW_TYPES):
        return Form(files=[(field_name, Upload(None, body))])
    if media != b"multipart/form-data":
        raise UnsupportedMedia(
            "the request's content type is not read here",
            cure=f"Send multipart/form-data with the file as {field_name!r}, or the file as the body (image/*)",
        )
    return _parse(content_type, body)


def _parse(content_type: bytes, body: bytes) -> Form:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise MalformedRequest("the form names no boundary", cure="Let your HTTP library write the Content-Type")
    reader = _PartReader(parse_options_header)
    parser = MultipartParser(boundary, reader.callbacks(), max_size=len(body) + 1)
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise MalformedRequest("the form cannot be read", cure="Send multipart/form-data as RFC 7578 says") from error
    if not reader.is_complete:
        raise MalformedRequest("the form breaks off before its end", cure="Send all of it, with the last boundary")
    return reader.form


class _PartReader:
    """Collects what the parser finds, part by part."""

    def __init__(self, parse_header: Any) -> None:
        self.form = Form()
        self.is_complete = False
        """Whether the form's last boundary was there."""
        self._parse_header = parse_header
        self._chunks: list[bytes] = []
        self._name = b""
        self._value = b""
        self._disposition = b""
        self._parts = 0

    def callbacks(self) -> Any:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._add_data,
            "on_part_end": self._end,
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise MalformedRequest(f"the form has more than {MOST_PARTS} parts", cure="Send several requests")
        self._chunks, self._disposition = [], b""

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.strip().lower() == b"content-disposition":
            self._disposition = self._value
        elif self._name.strip().lower() == b"content-transfer-encoding" and self._value.strip().lower() not in (
            b"binary",
            b"8bit",
            b"7bit",
        ):
            raise UnsupportedMedia("an encoded part is not read", cure="Send files as they are: binary")
        self._name = self._value = b""

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._chunks.append(data[start:end] if end - start < len(data) else data)

    def _end(self) -> None:
        kind, options = self._parse_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or not name:
            raise MalformedRequest("a part of the form has no name", cure='Give each: form-data; name="file"')
        content = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        filename = options.get(b"filename")
        if filename is not None:
            self.form.files.append((name, Upload(filename.decode("utf-8", "replace"), content)))
            return
        if len(content) > LARGEST_TEXT:
            raise MalformedRequest(
                f"the text {name!r:.100} has {len(content)} bytes", cure="Send files with a filename, and short texts"
            )
        try:
            self.form.texts.append((name, content.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise MalformedRequest(f"the text {name!r:.100} is no UTF-8", cure="Send files with a filename") from error

    def _finish(self) -> None:
        self.is_complete = True


def choose_files(form: Form, *, field_name: str, is_batch: bool) -> Sequence[Upload]:
    """Return the files that a request is about; without a file of that name, none.

    Raises:
        MalformedRequest: there are files of other names, or several where one is asked for.
    """
    others = [name for name, _ in form.files if name != field_name]
    if others:
        raise MalformedRequest(
            f"the form has the file {others[0]!r:.100}, expected is {field_name!r}",
            cure=f"Name its part {field_name!r}",
        )
    if any(name == field_name for name, _ in form.texts):
        raise MalformedRequest(
            f"{field_name!r} is a text, not a file", cure=f"Send the file's content: curl -F {field_name}=@picture.jpg"
        )
    files = [upload for _, upload in form.files]
    if len(files) > 1 and not is_batch:
        raise MalformedRequest(f"{len(files)} files were sent, expected is one", cure="Send several to /predict/batch")
    return files

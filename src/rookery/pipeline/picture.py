"""Pictures on their way: a file as it was sent, and what its envelope says of it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from rookery.fields.pictures.header import PictureHeader
from rookery.service.picture_prediction import PictureFacts

LONGEST_NAME = 100
"""Characters of a file name that are shown again."""

_UNSAFE = re.compile(r"[^\w .()+,@=~-]")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as a client sent it."""

    filename: str | None
    """As the client calls it, unchanged; None if it does not."""
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An upload whose envelope was read: its format, its size and its digest; its pixels were not."""

    data: bytes
    header: PictureHeader
    digest: bytes
    """SHA-256 of `data`; empty where nobody asks for it."""
    facts: PictureFacts


def sanitize_filename(name: str | None) -> str | None:
    """Return a file name that is safe to show: without folders, control characters and markup; None if none is left.

    Windows' folders are folders, too, and a name of dots alone names none.
    """
    if name is None:
        return None
    last = re.split(r"[/\\]", name)[-1]
    plain = _UNSAFE.sub("_", unicodedata.normalize("NFC", last)).strip(" .")
    if len(plain) > LONGEST_NAME:
        stem, dot, ending = plain.rpartition(".")
        plain = (
            stem[: LONGEST_NAME - len(ending) - 1] + dot + ending if dot and len(ending) < 10 else plain[:LONGEST_NAME]
        )
    return plain or None

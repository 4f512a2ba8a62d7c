"""`Pretrained`: where the weights of one architecture come from, and what their graph expects."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import SplitResult, urlsplit

from rookery.errors import DefinitionError

PictureActivation = Literal["softmax", "none"]
"""What is still missing between a graph's output and probabilities; `none`: they are probabilities already."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PRINTABLE = re.compile(r"[!-~]+")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """A file of trained weights (ONNX) for pictures: its address, its digest, and how pictures are prepared for it.

    The graph reads float32 [N, 3, height, width], RGB, each channel normalised as `(value / 255 - mean) / std`.

    Raises:
        DefinitionError: a value means nothing; the message names the cure.
    """

    url: str
    sha256: str
    """Of the whole file, 64 lower-case hexadecimal digits: nothing else is ever loaded."""
    size_bytes: int | None = None
    """The file's exact size, where it is known."""
    input: str
    """The graph's input."""
    output: str
    """The graph's output of scores (or probabilities): float32 [N, labels]."""
    mean: tuple[float, float, float]
    """Red, green and blue, as shares of the brightest value (0 to 1)."""
    std: tuple[float, float, float]
    """As `mean`."""
    activation: PictureActivation = "softmax"
    licence: str = ""
    source: str = ""
    """A page for people: who trained the weights, and on what."""
    mirrors: tuple[str, ...] = ()
    """Further addresses of folders that hold a file of the same name, tried in this order after `url`."""

    def __post_init__(self) -> None:
        address = _check_address("url", self.url)
        if not _FILE_NAME.fullmatch(address.path.rpartition("/")[2]):
            raise DefinitionError("pretrained url names no file", cure="It ends in a plain file name, like model.onnx")
        for mirror in self.mirrors:
            _check_address("mirrors", mirror)
        if not _SHA256.fullmatch(str(self.sha256)):
            raise DefinitionError(
                f"pretrained sha256={self.sha256!r:.80} is no SHA-256",
                cure="Give the file's 64 lower-case hexadecimal digits, as sha256sum prints them",
            )
        size: Any = self.size_bytes
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise DefinitionError(f"pretrained size_bytes={size!r:.50} is no size", cure="Give the bytes, or None")
        for name in ("input", "output"):
            if not str(getattr(self, name)).strip():
                raise DefinitionError(f"pretrained {name} is blank", cure=f"Name the graph's {name} tensor")
        _check_channels("mean", self.mean, zero_allowed=True)
        _check_channels("std", self.std, zero_allowed=False)
        if self.activation not in ("softmax", "none"):
            raise DefinitionError(f"pretrained activation={self.activation!r} is unknown", cure="Use softmax or none")


def _check_address(field: str, value: str) -> SplitResult:
    """Return an address in its parts, if it is one that may be written down and asked for."""
    text: Any = value
    try:
        parts = urlsplit(text if isinstance(text, str) else "")
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not _PRINTABLE.fullmatch(text):
        raise DefinitionError(
            f"pretrained {field}: an address is no http or https URL", cure="For example https://host/folder/model.onnx"
        )
    if "@" in parts.netloc:
        # The value is not repeated: it holds a password.
        raise DefinitionError(f"pretrained {field}: an address holds a user's name", cure="Give it without credentials")
    if parts.query or parts.fragment:
        raise DefinitionError(f"pretrained {field}: an address has a query", cure="Give the address of the file alone")
    return parts


def _check_channels(field: str, values: tuple[float, float, float], *, zero_allowed: bool) -> None:
    given = cast(Any, values)
    is_triple = isinstance(given, (tuple, list)) and len(given) == 3
    for value in given if is_triple else (math.nan,):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not 0 <= value <= 1 or (value == 0 and not zero_allowed):
            lowest = "0" if zero_allowed else "above 0"
            raise DefinitionError(
                f"pretrained {field}={given!r:.80} is no normalisation of red, green and blue",
                cure=f"Give three numbers from {lowest} to 1 (values from 0 to 255 are divided by 255)",
            )

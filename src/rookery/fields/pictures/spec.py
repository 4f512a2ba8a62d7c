"""What a service declares about a picture it takes: `Annotated[bytes, Image(width=224, height=224)]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from rookery.errors import DefinitionError

Mode = Literal["RGB", "L"]
Fit = Literal["crop", "trace"]

READABLE = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP", "TIFF": "TIFF"}
"""The formats that can be read, and how people write them."""

LARGEST_SIDE = 8_192
"""Pixels of the longest side that a picture may be fitted to: a model's input is smaller by far."""
LARGEST_TRACE = 128
"""The same for `trace`, which works on a grid of many points per pixel."""
MOST_PIXELS = 2**30 // 12
"""The most that `max_pixels` may be: beyond, decoders refuse or warn by themselves. A third of a gigabyte in RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture field: which files are taken, and the array of pixels they become.

    Without `width` and `height` the picture is taken as it is. With them it is fitted:

    - `crop` (photographs): resized until its shorter side is `shorter_side`, aspect kept, bilinear with
      antialiasing; then the centre is cut out.
    - `trace` (a drawn digit or letter): normalised as the digits of scikit-learn's `load_digits` are.

    The array is uint8 [height, width, 3] in mode `RGB`, [height, width, 1] in mode `L` (grey).

    Raises:
        DefinitionError: the declaration contradicts itself.
    """

    width: int | None = None
    height: int | None = None
    mode: Mode = "RGB"
    fit: Fit = "crop"
    shorter_side: int | None = None
    """Of the resized picture, before its centre is cut out; by default the longer of `width` and `height`."""
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP")
    max_pixels: int = 50_000_000
    """Width times height of the largest picture that is decoded: the memory that one request may take."""
    strict_names: bool = False
    """Whether a file is refused whose name ends as no accepted format's does, such as `.exe`."""

    def __post_init__(self) -> None:
        fault = _find_fault(self)
        if fault:
            raise DefinitionError(f"Image: {fault[0]}", cure=fault[1])

    @property
    def channels(self) -> int:
        """Numbers of a pixel: 3 for `RGB`, 1 for `L`."""
        return 3 if self.mode == "RGB" else 1

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """The fitted array's (height, width, channels), or None if pictures keep their size."""
        if self.width is None or self.height is None:
            return None
        return self.height, self.width, self.channels

    @property
    def accepted(self) -> str:
        """The formats as a sentence names them: "JPEG, PNG or WebP"."""
        *most, last = (READABLE[name] for name in self.formats)
        return f"{', '.join(most)} or {last}" if most else last

    def to_json(self) -> dict[str, Any]:
        """Return the declaration as JSON values, for a package's manifest."""
        return {**asdict(self), "formats": list(self.formats)}


def image_from_json(value: object) -> Image:
    """Return the declaration that `Image.to_json` wrote.

    Raises:
        DefinitionError: it is no such declaration, or contradicts itself.
    """
    if not isinstance(value, Mapping):
        raise DefinitionError("Image: its JSON is no object", cure="Write it with Image.to_json()")
    unknown = sorted(str(name) for name in value if name not in {field.name for field in fields(Image)})
    if unknown:
        raise DefinitionError(f"Image: it has no setting {unknown[0]:.50}", cure="Drop it, or update Rookery")
    settings = dict(value)
    if isinstance(settings.get("formats"), list):
        settings["formats"] = tuple(settings["formats"])
    return Image(**settings)


def _find_fault(image: Image) -> tuple[str, str] | None:
    """Return what contradicts itself in a declaration and its cure, or None."""
    for name, allowed in (("mode", get_args(Mode)), ("fit", get_args(Fit))):
        if getattr(image, name) not in allowed:
            choices = " or ".join(f'"{choice}"' for choice in allowed)
            return f"{name}={getattr(image, name)!r:.50} is unknown", f"Use {choices}"
    return _find_format_fault(image) or _find_number_fault(image) or _find_fit_fault(image)


def _find_format_fault(image: Image) -> tuple[str, str] | None:
    names: object = image.formats
    if not isinstance(names, tuple) or not names:
        return f"formats={names!r:.50} is no tuple of formats", 'For example formats=("JPEG", "PNG")'
    for name in names:
        if not isinstance(name, str) or name not in READABLE:
            return f"the format {name!r:.50} cannot be read", f"Choose from {', '.join(READABLE)}"
    if len(set(names)) < len(names):
        return "formats names a format twice", "Name each format once"
    return None


def _find_number_fault(image: Image) -> tuple[str, str] | None:
    for name in ("width", "height", "shorter_side", "max_pixels"):
        value = getattr(image, name)
        if value is None and name != "max_pixels":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            return f"{name}={value!r:.50} is no whole number above 0", f"Give {name} in pixels"
        most = MOST_PIXELS if name == "max_pixels" else LARGEST_TRACE if image.fit == "trace" else LARGEST_SIDE
        if value > most:
            return f"{name}={value:,} is above {most:,}", f"Give {most} at most"
    return None


def _find_fit_fault(image: Image) -> tuple[str, str] | None:
    if (image.width is None) != (image.height is None):
        return "width and height are given one without the other", "Give both, or neither"
    if image.width is None or image.height is None:
        if image.fit == "trace":
            return 'fit="trace" has no size to draw in', "Give width and height, for example 8 and 8"
        if image.shorter_side is not None:
            return "shorter_side is given without width and height", "Give all three, or none"
        return None
    if image.fit == "trace":
        if image.mode != "L":
            return 'fit="trace" makes grey pictures', 'Add mode="L"'
        if image.shorter_side is not None:
            return 'shorter_side means nothing to fit="trace"', "Drop it"
    elif image.shorter_side is not None and image.shorter_side < max(image.width, image.height):
        return (
            f"shorter_side={image.shorter_side} is below the {image.width} x {image.height} pixels to be cut out",
            f"Give {max(image.width, image.height)} or more",
        )
    return None

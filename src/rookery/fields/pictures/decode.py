"""From a picture's bytes to its pixels: upright, in RGB or grey, whole or not at all."""

from __future__ import annotations

import io
import warnings
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageFile

from rookery.errors import InvalidPicture
from rookery.fields.pictures.header import PictureHeader
from rookery.fields.pictures.jpeg import decode_jpeg, find_factor
from rookery.fields.pictures.layouts import ends_early, is_damaged
from rookery.fields.pictures.rows import has_all_rows, is_interlaced
from rookery.fields.pictures.spec import Image, Mode

Pixels = npt.NDArray[np.uint8]

_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
"""What turns a picture upright, by EXIF's orientation."""
_PADDING = 1_024
_OPAQUE_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")
_TRANSPARENT_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


def decode_picture(
    data: bytes, header: PictureHeader, spec: Image, *, at_least: tuple[int, int] | None = None
) -> Pixels:
    """Return a picture's pixels, upright.

    - Transparent parts lie on white; for `trace`, on white or black, whichever the drawing stands out from.
    - 16 bits are divided by 257 and rounded; in colour, the upper 8 bits are taken.
    - Floating-point pixels may be 0 to 1, or 0 to 255; whole numbers of 32 bits are refused.
    - Grey of a colour JPEG is the brightness that the file holds, of other pictures 0.299 R + 0.587 G + 0.114 B.
    - Colour profiles are not applied.

    Args:
        data: the file.
        header: what `read_header` returned for the same file and declaration.
        spec: the mode wanted.
        at_least: (width, height) in pixels that are enough. A JPEG may then come out as a half, a quarter or an
            eighth of its size, whichever is the smallest that is large enough; it takes less time and memory.

    Returns:
        uint8 [height, width, 3] for mode `RGB`, [height, width] for `L`. It may be read-only.

    Raises:
        InvalidPicture: the file ends early, is damaged or of a kind that cannot become RGB.
    """
    if header.format == "JPEG" and header.orientation == 1 and header.mode != "CMYK":
        pixels = decode_jpeg(data, header, spec.mode, find_factor(header, at_least))
        if pixels is not None:
            return pixels
    return np.asarray(decode_image(data, header, spec, at_least=at_least))


def decode_image(
    data: bytes, header: PictureHeader, spec: Image, *, at_least: tuple[int, int] | None = None
) -> Pillow.Image:
    """Return the same as `decode_picture` as an image of mode `RGB` or `L`."""
    image = None
    if header.format == "JPEG":
        pixels = decode_jpeg(data, header, spec.mode, find_factor(header, at_least))
        if pixels is not None:
            image = _from_jpeg(pixels, spec.mode)
    if image is None:
        image = _load(data, header, spec)
    # Pillow turns TIFFs upright while it loads them.
    if header.orientation in _TURNS and header.format != "TIFF":
        image = image.transpose(_TURNS[header.orientation])
    return image


def _from_jpeg(pixels: Pixels, mode: Mode) -> Pillow.Image:
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        # Adobe's inks are stored inverted, and by now everybody's are.
        inks = Pillow.frombuffer("CMYK", (pixels.shape[1], pixels.shape[0]), 255 - pixels, "raw", "CMYK", 0, 1)
        return _convert(inks, mode)
    return Pillow.fromarray(pixels)


def _load(data: bytes, header: PictureHeader, spec: Image) -> Pillow.Image:
    """Decode by Pillow, which may raise anything, and says so in words that name paths and objects."""
    _ignore_warnings()
    # Another library of this process may have switched it on; a part of a picture is no picture.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image = _open(data, header)
        if header.format == "PNG" and _may_lack_rows(image, data) and not has_all_rows(data):
            raise ends_early()
        if header.format == "JPEG" and _lacks_blocks(image, data, header):
            raise ends_early()
        return _flatten(image, spec)
    except InvalidPicture:
        raise
    except Exception as error:
        raise (ends_early() if "runcated" in str(error) else is_damaged()) from error


def _open(data: bytes, header: PictureHeader) -> Pillow.Image:
    image = Pillow.open(io.BytesIO(data), formats=[header.format])
    if image.size != ((header.width, header.height) if header.format == "TIFF" else header.stored_size):
        raise is_damaged()
    image.info.pop("xmp", None)  # which would turn a TIFF that `read_header` found upright
    image.load()
    return image


def _lacks_blocks(image: Pillow.Image, data: bytes, header: PictureHeader) -> bool:
    """Tell whether a JPEG's scan is too short, for which Pillow fills up with grey and says nothing.

    Bytes put in behind the scan change the pixels then, and only then.
    """
    end = data.rfind(b"\xff\xd9")
    padded = _open(data[:end] + b"\x5a" * _PADDING + data[end:], header)
    return image.tobytes() != padded.tobytes()


def _may_lack_rows(image: Pillow.Image, data: bytes) -> bool:
    """Tell whether a PNG's last row is all zero, as one that was never decoded is, or cannot tell."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    return is_interlaced(data) or not np.asarray(last).any()


@cache
def _ignore_warnings() -> None:
    """Keep Pillow from warning of odd metadata, in words that a client can choose, each kept for good."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def _flatten(image: Pillow.Image, spec: Image) -> Pillow.Image:
    """Return an image of the wanted mode with 8 bits per channel and nothing to see through."""
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        return _convert(Pillow.fromarray(((wide * 255 + 32_767) // 65_535).astype(np.uint8)), spec.mode)
    if image.mode == "F":
        return _convert(_from_floats(np.asarray(image)), spec.mode)
    if image.mode in _TRANSPARENT_MODES or (image.mode in _OPAQUE_MODES and "transparency" in image.info):
        # A premultiplied image converts only to its plain form, and only that to the others.
        plain = image.convert({"RGBa": "RGBA", "La": "LA"}.get(image.mode, image.mode)).convert("RGBA")
        opaque = Pillow.new("RGB", plain.size, _choose_background(plain, spec))
        opaque.paste(plain, mask=plain.getchannel("A"))
        return _convert(opaque, spec.mode)
    if image.mode not in _OPAQUE_MODES:
        raise InvalidPicture("the pixels of this picture are of a kind that is not read", cure="Save it as 8-bit RGB")
    return _convert(image, spec.mode)


def _convert(image: Pillow.Image, mode: Mode) -> Pillow.Image:
    return image if image.mode == mode else image.convert(mode)


def _from_floats(values: npt.NDArray[np.float32]) -> Pillow.Image:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # NaN is neither
        raise InvalidPicture(
            "the floating-point pixels of this picture are not all within 0 to 255", cure="Save it with 8 or 16 bits"
        )
    return Pillow.fromarray(np.rint(values * (255 if high <= 1 else 1)).astype(np.uint8))


def _choose_background(image: Pillow.Image, spec: Image) -> tuple[int, int, int]:
    """Return white, or black for a bright drawing on nothing."""
    if spec.fit == "trace":
        alpha = np.asarray(image.getchannel("A"), dtype=np.float64)
        brightness = np.asarray(image.convert("RGB").convert("L"), dtype=np.float64)
        if alpha.sum() and (alpha * brightness).sum() / alpha.sum() > 127.5:
            return 0, 0, 0
    return 255, 255, 255

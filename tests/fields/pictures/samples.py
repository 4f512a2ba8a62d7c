"""Picture files that tests make: real ones of every format and mode, and others that only claim to be pictures."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageOps

from rookery.fields.pictures.generated import generate_picture
from rookery.fields.pictures.spec import Image

ANY = Image(formats=("JPEG", "PNG", "WEBP", "TIFF"))
CROP = Image(width=224, height=224, shorter_side=256, formats=("JPEG", "PNG", "WEBP", "TIFF"))


def picture(width: int, height: int, number: int = 1) -> Pillow.Image:
    """A colourful picture of a size."""
    return Pillow.fromarray(generate_picture(number, width=width, height=height))


def encode(image: Pillow.Image, form: str, **options: Any) -> bytes:
    """A file of a picture."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif(orientation: int, order: str = ">") -> bytes:
    """EXIF data that hold an orientation and nothing else."""
    head = b"MM\0*" if order == ">" else b"II*\0"
    return b"Exif\0\0" + head + struct.pack(f"{order}IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int,
    height: int,
    rows: bytes,
    *,
    bits: int = 8,
    colour: int = 2,
    extra: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """A PNG whose pixels are the rows given, each with its leading filter byte."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))
    pixels = png_chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + head + extra + pixels + png_chunk(b"IEND", b"")


def webp(kind: bytes, data: bytes) -> bytes:
    """A WebP of one chunk."""
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(*directories: dict[int, tuple[int, int]], tail: bytes = b"") -> bytes:
    """A little-endian TIFF of directories whose tags are 32-bit numbers, given as (count, value or offset)."""
    data, position = b"II*\0" + struct.pack("<I", 8), 8
    for index, tags in enumerate(directories):
        entries = b"".join(struct.pack("<HHII", tag, 4, *value) for tag, value in sorted(tags.items()))
        position += 2 + len(entries) + 4
        following = position if index + 1 < len(directories) else 0
        data += struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return data + tail


def reference_rgb(data: bytes) -> npt.NDArray[np.uint8]:
    """What plain Pillow makes of a file without transparency: upright RGB."""
    return np.asarray(ImageOps.exif_transpose(Pillow.open(io.BytesIO(data))).convert("RGB"))


def reference_crop(pixels: npt.NDArray[np.uint8], side: int = 256, crop: int = 224) -> npt.NDArray[np.uint8]:
    """What plain Pillow makes of pixels: the whole picture resized, then its centre cut out."""
    image = Pillow.fromarray(pixels)
    shorter = min(image.size)
    width, height = int(side * image.width / shorter), int(side * image.height / shorter)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    resized = image.resize((width, height), Pillow.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + crop, top + crop)))


def imagenet_logits(weights: Path, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What a MobileNetV2 answers for uint8 [n, 224, 224, 3]: float32 [n, 1000]."""
    import onnxruntime

    mean, deviation = (np.array(v, np.float32) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    normal = (crops.astype(np.float32) / 255 - mean) / deviation
    inputs = {"input": np.ascontiguousarray(normal.transpose(0, 3, 1, 2))}
    logits: npt.NDArray[np.float32] = onnxruntime.InferenceSession(weights).run(None, inputs)[0]
    return logits

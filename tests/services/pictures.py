"""Pictures that people might send to the services, well-meant and not."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rookery.fields.pictures.generated import generate_picture


def encode(pixels: Any, format_: str = "PNG", **options: Any) -> bytes:
    """Return an array or a Pillow image as a file."""
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    picture.save(stream, format_, **options)
    return stream.getvalue()


def lively(number: int = 1, *, width: int = 200, height: int = 150, format_: str = "PNG") -> bytes:
    """Return a generated picture with plenty of keypoints."""
    return encode(generate_picture(number, width=width, height=height), format_)


def write_digit(digit: int, *, size: int = 120, ink: int = 20, paper: int = 240) -> bytes:
    """Return a digit in Pillow's own typeface, as a PNG."""
    picture = Image.new("L", (size, size), paper)
    font = ImageFont.load_default(size * 0.8)
    left, top, right, bottom = font.getbbox(str(digit))
    place = ((size - right - left) / 2, (size - bottom - top) / 2)
    ImageDraw.Draw(picture).text(place, str(digit), fill=ink, font=font, stroke_width=size // 40, stroke_fill=ink)
    return encode(picture)


STROKES: dict[int, list[tuple[float, float]]] = {
    0: [(0.5, 0.1), (0.25, 0.3), (0.25, 0.7), (0.5, 0.9), (0.75, 0.7), (0.75, 0.3), (0.5, 0.1)],
    1: [(0.35, 0.3), (0.55, 0.1), (0.55, 0.9)],
    2: [(0.25, 0.3), (0.5, 0.1), (0.75, 0.3), (0.25, 0.9), (0.8, 0.9)],
    3: [(0.25, 0.15), (0.7, 0.2), (0.45, 0.45), (0.75, 0.7), (0.25, 0.9)],
    4: [(0.6, 0.9), (0.6, 0.1), (0.2, 0.6), (0.85, 0.6)],
    7: [(0.2, 0.1), (0.8, 0.1), (0.4, 0.9)],
}
"""Digits as a pen draws them in one go: corners as shares of the sheet, from its upper left."""


def draw(strokes: list[tuple[float, float]], *, size: int = 100) -> bytes:
    """Return a line through such corners, dark on light, as a PNG."""
    picture = Image.new("L", (size, size), 255)
    points = [(across * size, down * size) for across, down in strokes]
    ImageDraw.Draw(picture).line(points, fill=0, width=size // 9, joint="curve")
    return encode(picture)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int = 60_000) -> bytes:
    """Return a PNG of a few kilobytes that claims `side` x `side` pixels."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(20_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animated() -> bytes:
    """Return a WebP of two frames."""
    frames = [Image.fromarray(generate_picture(n, width=40, height=30)) for n in range(2)]
    return encode(frames[0], "WEBP", save_all=True, append_images=frames[1:])


def huge_exif() -> bytes:
    """Return a JPEG with as many application segments as fit into 5 MB."""
    data = encode(np.asarray(generate_picture(1, width=60, height=40)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + b"Exif\0\0" + b"M" * (65_533 - 6)
    return data[:2] + segment * 76 + data[2:]


NO_PICTURES: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"\x89",
    "a text": b"hello, this is no picture\n" * 20,
    "FITS": b"SIMPLE  =                    T".ljust(2880),
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
    "GIF": encode(np.zeros((9, 9, 3), np.uint8), "GIF"),
    "BMP": encode(np.zeros((9, 9, 3), np.uint8), "BMP"),
    "PDF": b"%PDF-1.7\n",
    "HTML": b"<!DOCTYPE html><html></html>",
    "ZIP": b"PK\x03\x04" + b"\0" * 60,
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94",
    "a cut PNG": lively()[:-2000],
    "a cut JPEG": lively(format_="JPEG")[:-900],
    "a cut WebP": lively(format_="WEBP")[:200],
    "a bomb": bomb(),
    "an animation": animated(),
}
"""What is refused wherever pictures are taken, by what it is."""

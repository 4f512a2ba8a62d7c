"""Pictures to measure with, as requests, and a home whose services take them."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.servers import ROOT, Request
from benchmarks.subjects import ROOKERY
from rookery.fields.pictures.generated import generate_picture

BOUNDARY = "picture-of-a-benchmark"
PHOTOGRAPH_SIDE = 1_024
"""Of a generated photograph, about one megapixel."""
SCAN_SIDE = 512
"""Of the grey picture whose keypoints are looked for."""
STRIP_OFFSETS = 273
"""TIFF's tag for where the pixels begin."""


def find_weights() -> Path | None:
    """Return the ONNX file of MobileNetV2 that the environment names."""
    value = os.environ.get("BENCH_WEIGHTS") or os.environ.get("ROOKERY_TEST_MOBILENET")
    return Path(value) if value else None


def prepare_pictures(home: Path, weights: Path | None) -> None:
    """Register the features in a home, and the images where there are weights, unless they are there."""
    environment = {**os.environ, "ROOKERY_HOME": str(home), "ROOKERY_SERVICES_FOLDER": str(ROOT / "services")}
    commands = {"features": ["train", "features"]}
    if weights is not None:
        commands["images"] = ["pull", "images", "--arch", "mobilenet_v2", "--weights", str(weights)]
    for name, arguments in commands.items():
        if not (home / "traffic" / f"{name}.json").is_file():
            subprocess.run([ROOKERY, *arguments], env=environment, capture_output=True, check=True)


def read_photograph() -> bytes:
    """Return a JPEG of about one megapixel: the dog of the test pictures where there are any, or a generated one."""
    folder = os.environ.get("ROOKERY_TEST_PICTURES")
    if folder:
        return (Path(folder) / "dog.jpg").read_bytes()
    stream = io.BytesIO()
    Image.fromarray(generate_picture(1, width=PHOTOGRAPH_SIDE, height=PHOTOGRAPH_SIDE)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def make_scan() -> tuple[bytes, int]:
    """Return a grey uncompressed TIFF, and where in it are eight pixels that may be any."""
    stream = io.BytesIO()
    _read_grey().save(stream, "TIFF")
    with Image.open(stream) as image:
        (start, *_) = image.tag_v2[STRIP_OFFSETS]  # type: ignore[attr-defined]
    return stream.getvalue(), int(start)


def _read_grey() -> Image.Image:
    folder = os.environ.get("ROOKERY_TEST_PICTURES")
    if not folder:
        return Image.fromarray(generate_picture(2, width=SCAN_SIDE, height=SCAN_SIDE)).convert("L")
    with Image.open(Path(folder) / "cat.jpg") as image:
        return Image.fromarray(np.asarray(image.convert("L").resize((SCAN_SIDE, SCAN_SIDE))))


def as_form(
    name: str, filename: str, data: bytes, *, vary_at: int | None = None, variants: int | None = None
) -> Request:
    """Return the request that uploads a file as a form; `vary_at` is a place in the file."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    return Request(
        path="/predict",
        body=head + data + f"\r\n--{BOUNDARY}--\r\n".encode(),
        content_type=f"multipart/form-data; boundary={BOUNDARY}",
        vary_at=None if vary_at is None else len(head) + vary_at,
        variants=variants,
    )

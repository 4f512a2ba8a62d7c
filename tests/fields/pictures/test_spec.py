"""The declaration of a picture field."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from rookery.errors import DefinitionError
from rookery.fields.pictures.spec import MOST_PIXELS, Image, image_from_json

DECLARATIONS = [
    Image(),
    Image(mode="L", formats=("TIFF",), max_pixels=10),
    Image(width=224, height=224, shorter_side=256),
    Image(width=8, height=8, mode="L", fit="trace"),
]


@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_a_declaration_survives_its_json(declaration: Image) -> None:
    """A package's manifest holds exactly what the service declared."""
    assert image_from_json(json.loads(json.dumps(declaration.to_json()))) == declaration


def test_shape_is_that_of_the_array_a_model_reads() -> None:
    """Height first, and one channel for grey; a picture that is taken as it is has no fixed shape."""
    assert Image(width=320, height=200).shape == (200, 320, 3)
    assert Image(width=8, height=9, mode="L", fit="trace").shape == (9, 8, 1)
    assert Image().shape is None


def test_formats_are_named_as_people_write_them() -> None:
    assert Image().accepted == "JPEG, PNG or WebP"
    assert Image(formats=("TIFF",)).accepted == "TIFF"


@pytest.mark.parametrize(
    ("settings", "fault", "cure"),
    [
        ({"width": 224}, "one without the other", "both"),
        ({"height": 224}, "one without the other", "both"),
        ({"width": 0, "height": 8}, "width=0", "pixels"),
        ({"width": 8.0, "height": 8}, "width=8.0", "pixels"),
        ({"width": True, "height": 8}, "width=True", "pixels"),
        ({"width": 224, "height": 224, "shorter_side": 200}, "shorter_side=200 is below", "224"),
        ({"width": 100, "height": 224, "shorter_side": 200}, "shorter_side=200 is below", "224"),
        ({"width": 20_000, "height": 224}, "width=20,000 is above", "8192"),
        ({"shorter_side": 256}, "shorter_side is given without", "all three"),
        ({"fit": "trace", "mode": "L"}, "no size", "width and height"),
        ({"fit": "trace", "width": 8, "height": 8}, "grey", 'mode="L"'),
        ({"fit": "trace", "mode": "L", "width": 8, "height": 8, "shorter_side": 9}, "means nothing", "Drop"),
        ({"fit": "trace", "mode": "L", "width": 500, "height": 8}, "width=500 is above", "128"),
        ({"fit": "stretch"}, "stretch", '"crop" or "trace"'),
        ({"mode": "BGR"}, "BGR", '"RGB" or "L"'),
        ({"formats": ("JPG",)}, "'JPG' cannot be read", "JPEG, PNG, WEBP, TIFF"),
        ({"formats": ()}, "no tuple", "formats="),
        ({"formats": "JPEG"}, "no tuple", "formats="),
        ({"formats": ("PNG", "PNG")}, "twice", "once"),
        ({"formats": ([],)}, "cannot be read", "JPEG"),
        ({"max_pixels": 0}, "max_pixels=0", "pixels"),
        ({"max_pixels": None}, "max_pixels=None", "pixels"),
        ({"max_pixels": MOST_PIXELS + 1}, "max_pixels=89,478,486 is above", "89478485"),
    ],
)
def test_a_contradiction_is_named_with_its_cure(settings: dict[str, Any], fault: str, cure: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        Image(**settings)
    assert fault in caught.value.message
    assert cure in caught.value.cure


@pytest.mark.parametrize("value", [None, [], "Image", {"width": 224, "colour": "red"}, {1: 2}, {"formats": "JPEG"}])
def test_json_that_is_no_declaration_is_refused(value: object) -> None:
    with pytest.raises(DefinitionError, match="Image"):
        image_from_json(value)


def test_services_without_pictures_load_no_picture_library() -> None:
    """Declaring a picture, and reading a header on the event loop, take nothing beyond the standard library."""
    script = (
        "import sys, rookery, rookery.fields.pictures.spec, rookery.fields.pictures.header\n"
        "print(sorted({'PIL', 'cv2', 'simplejpeg'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Fitting: what plain Pillow gives that resizes the whole picture and cuts out its centre, only sooner."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from rookery.errors import DataError
from rookery.fields.pictures.fit import prepare_array, prepare_picture
from rookery.fields.pictures.generated import generate_picture
from rookery.fields.pictures.header import read_header
from rookery.fields.pictures.spec import Image
from tests.fields.pictures.samples import (
    ANY,
    CROP,
    encode,
    exif,
    imagenet_logits,
    picture,
    reference_crop,
    reference_rgb,
)

SIZES = [(256, 256), (224, 224), (300, 256), (256, 301), (640, 480), (481, 641), (333, 1000), (97, 60), (3, 2), (1, 1)]


def prepare(data: bytes, spec: Image = CROP) -> npt.NDArray[np.uint8]:
    return prepare_picture(data, read_header(data, spec), spec)


def difference(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    distance: npt.NDArray[np.int64] = np.abs(one.astype(np.int64) - other)
    return distance


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_a_crop_equals_plain_pillow_to_the_last_rounding(size: tuple[int, int], form: str) -> None:
    """Only the part that is kept is resized, so that a value may round the other way: by 1, never more."""
    data = encode(picture(*size), form)
    distance = difference(prepare(data), reference_crop(reference_rgb(data)))
    assert distance.max() <= 1
    assert distance.mean() < 0.2


def test_an_uncut_picture_equals_plain_pillow_exactly() -> None:
    spec = Image(width=64, height=64)
    for size in ((64, 64), (200, 200), (13, 13)):
        pixels = generate_picture(3, width=size[0], height=size[1])
        np.testing.assert_array_equal(prepare_array(pixels, spec), reference_crop(pixels, 64, 64))


@pytest.mark.parametrize("size", [(1, 5_000), (5_000, 1), (2, 9_999), (9_999, 3)])
def test_extreme_shapes_cost_no_more_than_others(size: tuple[int, int]) -> None:
    """The whole of a 5000 x 1 picture, resized, would have 1,280,000 x 256 pixels; the centre is all that is made."""
    pixels = generate_picture(5, width=size[0], height=size[1])
    fitted = prepare_array(pixels, CROP)
    assert fitted.shape == (224, 224, 3)
    middle = pixels[(size[1] - 1) // 2 : size[1] // 2 + 1, (size[0] - 1) // 2 : size[0] // 2 + 1]
    assert np.abs(fitted[112, 112] - middle.mean(axis=(0, 1))).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured_before_the_crop(orientation: int) -> None:
    data = encode(picture(500, 300), "PNG", exif=exif(orientation))
    assert difference(prepare(data), reference_crop(reference_rgb(data))).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_shrinking_keeps_the_centre_in_its_place(orientation: int) -> None:
    """A side that is no multiple of the scale is filled up, on the left or the right, as the picture is turned."""
    size = 1_049, 1_051
    smooth = Pillow.fromarray(generate_picture(3, width=40, height=40)).resize(size, Pillow.Resampling.BICUBIC)
    data = encode(smooth, "JPEG", quality=95, exif=exif(orientation))
    small = Image(width=32, height=32)
    distance = difference(prepare(data, small), reference_crop(reference_rgb(data), 32, 32))
    assert distance.mean() < 0.5


def test_a_jpeg_that_cannot_be_shrunk_is_cropped_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rare ones go to a decoder that gives the full size, whatever was enough."""
    data = encode(picture(1_300, 1_100), "JPEG")
    monkeypatch.setattr("rookery.fields.pictures.decode.decode_jpeg", lambda *_: None)
    assert difference(prepare(data), reference_crop(reference_rgb(data))).max() <= 1


def test_a_crop_need_not_be_square() -> None:
    spec = Image(width=96, height=32, shorter_side=100)
    fitted = prepare_array(generate_picture(2, width=400, height=300), spec)
    whole = reference_crop(generate_picture(2, width=400, height=300), 100, 96)
    assert fitted.shape == spec.shape == (32, 96, 3)
    assert difference(fitted, whole[32:64]).max() <= 1


def test_the_shorter_side_is_by_default_what_the_crop_needs() -> None:
    pixels = generate_picture(2, width=400, height=300)
    given, default = Image(width=96, height=32, shorter_side=96), Image(width=96, height=32)
    np.testing.assert_array_equal(prepare_array(pixels, default), prepare_array(pixels, given))


def test_arrays_have_three_axes_in_every_mode() -> None:
    """So that a batch is `np.stack` of them, and `spec.shape` is its shape."""
    pixels = generate_picture(2, width=40, height=30)
    grey = Image(mode="L", formats=ANY.formats)
    small = Image(mode="L", width=20, height=10)
    data = encode(picture(40, 30), "PNG")
    assert prepare_array(pixels, ANY).shape == prepare(data, ANY).shape == (30, 40, 3)
    assert prepare_array(pixels, grey).shape == prepare(data, grey).shape == (30, 40, 1)
    assert prepare_array(pixels, small).shape == prepare(data, small).shape == small.shape == (10, 20, 1)
    assert prepare_array(pixels[..., 0], CROP).shape == CROP.shape


def test_arrays_and_files_are_prepared_alike() -> None:
    """A training set of arrays and a service that takes files see the same pixels."""
    pixels = generate_picture(9, width=500, height=400)
    np.testing.assert_array_equal(prepare_array(pixels, CROP), prepare(encode(Pillow.fromarray(pixels), "PNG")))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_arrays_that_are_no_pictures_are_refused(pixels: npt.NDArray[Any]) -> None:
    with pytest.raises(DataError, match=r"no picture.*uint8"):
        prepare_array(pixels, CROP)


@pytest.fixture(scope="module")
def photographs(pictures: Path) -> list[bytes]:
    """Real photographs as JPEGs whose shorter side has 300 to 3,000 pixels, some turned by EXIF."""
    files = []
    for name in ("dog.jpg", "cat.jpg", "kitten.png"):
        whole = Pillow.open(pictures / name).convert("RGB")
        for side, orientation in ((300, 1), (767, 3), (1_080, 6), (1_531, 1), (2_200, 8), (3_000, 1)):
            scale = side / min(whole.size)
            size = (round(whole.width * scale), round(whole.height * scale))
            sized = whole.resize(size, Pillow.Resampling.LANCZOS)
            files.append(encode(sized, "JPEG", quality=88, exif=exif(orientation)))
    return files


@pytest.fixture(scope="module")
def full_crops(photographs: list[bytes]) -> list[npt.NDArray[np.uint8]]:
    """What plain Pillow makes of the same photographs, fully decoded."""
    return [reference_crop(reference_rgb(data)) for data in photographs]


def test_shrinking_while_decoding_changes_photographs_little(
    photographs: list[bytes], full_crops: list[npt.NDArray[np.uint8]]
) -> None:
    """Of 255: less than half of 1 in the mean, 8 at most."""
    for data, expected in zip(photographs, full_crops, strict=True):
        distance = difference(prepare(data), expected)
        assert distance.mean() < 0.5
        assert distance.max() <= 8


def test_shrinking_while_decoding_leaves_a_classifier_in_agreement(
    mobilenet: Path, photographs: list[bytes], full_crops: list[npt.NDArray[np.uint8]]
) -> None:
    """The same class for every photograph, and logits (of some ±20) that differ by less than 0.5."""
    full = imagenet_logits(mobilenet, np.stack(full_crops))
    quick = imagenet_logits(mobilenet, np.stack([prepare(data) for data in photographs]))
    assert quick.argmax(axis=1).tolist() == full.argmax(axis=1).tolist()
    upright = {0, 3, 5}  # of each picture's six: the network knows dogs and cats that stand on their feet
    assert {int(quick[index].argmax()) for index in upright} == {207}
    assert {int(quick[6 + index].argmax()) for index in upright} == {285}
    assert np.abs(full - quick).max() < 0.5


def test_threads_do_not_disturb_each_other() -> None:
    """Pictures are prepared in the inference threads, several at once."""
    files = [encode(picture(900, 700, number), form) for number in range(4) for form in ("JPEG", "PNG", "WEBP")]
    expected = [prepare(data) for data in files]
    faults: list[int] = []

    def work(start: int) -> None:
        for step in range(len(files)):
            index = (start + step) % len(files)
            if not np.array_equal(prepare(files[index]), expected[index]):
                faults.append(index)

    threads = [threading.Thread(target=work, args=(3 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_a_crop_may_be_written_to() -> None:
    """It is an array of its own."""
    fitted = prepare(encode(picture(300, 300), "PNG"))
    fitted[:] = 0
    assert not fitted.any()

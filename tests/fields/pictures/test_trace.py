"""Tracing: whatever a person draws becomes a picture like those of scikit-learn's `load_digits`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter, ImageOps

from rookery.errors import InvalidPicture
from rookery.fields.pictures.fit import prepare_array, prepare_picture
from rookery.fields.pictures.header import read_header
from rookery.fields.pictures.spec import Image
from tests.fields.pictures.samples import encode

DIGIT = Image(width=8, height=8, mode="L", fit="trace")

STROKES = (
    "50,0 20,10 0,35 0,65 20,90 50,100 80,90 100,65 100,35 80,10 50,0",
    "20,25 55,0 55,100",
    "5,25 20,5 50,0 85,10 95,30 80,50 5,100 100,100",
    "0,10 40,0 90,10 95,30 75,45 40,48 80,55 100,72 85,92 40,100 0,88",
    "70,100 70,0 0,65 100,65",
    "95,0 15,0 10,45 50,38 90,50 100,72 80,94 40,100 0,90",
    "75,0 35,20 5,55 8,85 40,100 85,93 100,72 75,55 40,55 10,75",
    "0,0 100,0 40,100",
    "50,47 15,35 10,15 50,0 90,15 85,35 50,47 10,65 10,90 50,100 90,90 90,65 50,47",
    "92,30 60,50 20,45 5,25 25,4 60,0 92,15 92,30 85,70 60,100",
)
"""The digits 0 to 9 as a pen goes, in a box of 100 by 100."""


def draw(
    digit: int, *, height: int = 200, pen: int = 16, aspect: float = 0.65, margin: tuple[int, int] = (40, 30)
) -> Pillow.Image:
    """A digit, dark on white; `margin` is left and right, above and below."""
    size = round(height * aspect) + pen + 2 * margin[0], height + pen + 2 * margin[1]
    sheet = Pillow.new("L", size, 255)
    pencil = ImageDraw.Draw(sheet)
    points = []
    for pair in STROKES[digit].split():
        x, y = (int(number) / 100 for number in pair.split(","))
        points.append((margin[0] + pen / 2 + x * height * aspect, margin[1] + pen / 2 + y * height))
    pencil.line(points, fill=0, width=pen, joint="curve")
    for x, y in (points[0], points[-1]):
        pencil.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=0)
    return sheet


def trace(image: Pillow.Image) -> npt.NDArray[np.uint8]:
    """The 8 x 8 picture of a drawing, sent as a PNG."""
    data = encode(image, "PNG")
    return prepare_picture(data, read_header(data, DIGIT), DIGIT)[..., 0]


def likeness(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.fixture(scope="module")
def digits() -> Any:
    """The 1,797 digits that scikit-learn ships: counts of 0 to 16."""
    from sklearn.datasets import load_digits

    return load_digits()


@pytest.fixture(scope="module")
def classifier(digits: Any) -> Any:
    """A model of those digits and nothing else."""
    from sklearn.svm import SVC

    return SVC(gamma=0.02, C=10).fit(digits.data / 16, digits.target)


@pytest.mark.parametrize("digit", range(10))
def test_drawings_come_out_in_the_style_of_the_uci_digits(digits: Any, digit: int) -> None:
    """They fill the height, stay off the outer columns, reach full ink, and are as black on the whole."""
    traced = trace(draw(digit))
    assert traced.shape == (8, 8)
    assert traced[0].any()
    assert traced[-1].any()
    assert traced[:, 0].mean() < 16
    assert traced[:, -1].mean() < 16
    assert traced.max() >= 13.5 * 255 / 16
    assert abs(traced.mean() / 255 - digits.images.mean() / 16) < 0.04
    columns = np.flatnonzero(traced.any(axis=0))
    assert abs((columns[0] + columns[-1]) / 2 - 3.5) <= 0.5


@pytest.mark.parametrize("digit", range(10))
def test_a_model_of_the_uci_digits_reads_drawings(classifier: Any, digit: int) -> None:
    """Most of each, with thin and thick pens, tall and wide hands; a wide 8 may pass for a 9."""
    drawings = [draw(digit, pen=pen, aspect=aspect) for pen in (6, 12, 18, 26) for aspect in (0.5, 0.65, 0.8)]
    read = classifier.predict(np.stack([trace(one) for one in drawings]).reshape(-1, 64) / 255)
    assert (read == digit).mean() >= 0.6


def test_most_drawings_are_read(classifier: Any) -> None:
    drawings = [
        (digit, draw(digit, pen=pen, aspect=a)) for digit in range(10) for pen in (8, 16, 24) for a in (0.5, 0.65)
    ]
    read = classifier.predict(np.stack([trace(one) for _, one in drawings]).reshape(-1, 64) / 255)
    assert (read == [digit for digit, _ in drawings]).mean() >= 0.95


def test_the_uci_digits_themselves_are_kept(digits: Any, classifier: Any) -> None:
    """Enlarged to 80 x 80 and traced back, they are the same digits to the eye and to the model."""
    likenesses, right = [], 0
    for index in range(200):
        original = (digits.images[index] * 255 / 16).astype(np.uint8)
        traced = trace(Pillow.fromarray(original).resize((80, 80), Pillow.Resampling.BICUBIC))
        likenesses.append(likeness(traced, original))
        right += int(classifier.predict(traced.reshape(1, 64) / 255)[0] == digits.target[index])
    assert np.mean(likenesses) > 0.9
    assert right >= 190


def on_colour(image: Pillow.Image) -> Pillow.Image:
    return ImageOps.colorize(image, black=(20, 20, 160), white=(250, 240, 200))


def on_nothing(image: Pillow.Image, ink: int) -> Pillow.Image:
    sheet = Pillow.new("RGBA", image.size, (ink, ink, ink, 0))
    sheet.putalpha(ImageOps.invert(image))
    return sheet


def in_shadow(image: Pillow.Image) -> Pillow.Image:
    """A photograph of paper: half as bright on one side, faint ink, grain."""
    grey = 90 + np.asarray(image, dtype=np.float64) * 0.6
    grey *= np.linspace(1, 0.5, image.width)
    grain = np.random.default_rng(0).normal(0, 4, grey.shape)
    return Pillow.fromarray(np.clip(grey + grain, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))


def with_specks(image: Pillow.Image) -> Pillow.Image:
    dusty = image.copy()
    pencil = ImageDraw.Draw(dusty)
    for x, y in np.random.default_rng(0).integers(2, min(image.size) - 4, (25, 2)).tolist():
        pencil.ellipse((x, y, x + 3, y + 3), fill=0)
    pencil.ellipse((1, 1, 5, 5), fill=0)
    return dusty


def far_in_a_corner(image: Pillow.Image) -> Pillow.Image:
    sheet = Pillow.new("L", (image.width * 6, image.height * 5), 255)
    sheet.paste(image, (image.width * 5, 3))
    return sheet


CHANGES: dict[str, Callable[[Pillow.Image], Pillow.Image]] = {
    "light on dark": ImageOps.invert,
    "twelve times as large": lambda image: image.resize((image.width * 12, image.height * 12)),
    "a quarter as large": lambda image: image.resize((image.width // 4, image.height // 4)),
    "no margin": lambda image: image.crop(ImageOps.invert(image).getbbox()),
    "a wide margin on one side": lambda image: ImageOps.expand(image, (700, 10, 20, 300), fill=255),
    "far in a corner": far_in_a_corner,
    "blue on cream": on_colour,
    "dark on nothing": lambda image: on_nothing(image, 0),
    "light on nothing": lambda image: on_nothing(image, 255),
    "in shadow": in_shadow,
    "with specks": with_specks,
    "faint": lambda image: image.point(lambda value: 180 + value // 4),
    "1 bit": lambda image: image.convert("1"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_way_it_was_drawn_does_not_matter(change: str) -> None:
    """The same strokes give nearly the same picture: a correlation of 0.93 at least, 0.97 in the mean."""
    alike = [likeness(trace(CHANGES[change](draw(digit))), trace(draw(digit))) for digit in range(10)]
    assert min(alike) > 0.93
    assert np.mean(alike) > 0.97


@pytest.mark.parametrize("pen", [4, 8, 24, 30])
def test_the_thickness_of_the_pen_hardly_matters(pen: int) -> None:
    """Strokes are evened out, as the pens of the UCI digits were."""
    alike = [likeness(trace(draw(digit, pen=pen)), trace(draw(digit))) for digit in range(10)]
    assert np.mean(alike) > 0.85


def noise() -> Pillow.Image:
    grain = np.random.default_rng(1).normal(200, 5, (300, 300))
    return Pillow.fromarray(grain.astype(np.uint8))


def one_speck() -> Pillow.Image:
    sheet = Pillow.new("L", (300, 300), 255)
    sheet.putpixel((100, 100), 0)
    return sheet


@pytest.mark.parametrize(
    "blank",
    [
        Pillow.new("L", (100, 100), 255),
        Pillow.new("L", (100, 100), 0),
        Pillow.new("L", (1, 1), 90),
        Pillow.new("RGBA", (50, 50)),
        Pillow.linear_gradient("L").point(lambda value: 100 + value // 2),
        noise(),
        one_speck(),
    ],
    ids=["white", "black", "one pixel", "transparent", "shadow", "grain", "speck"],
)
def test_a_blank_sheet_is_refused(blank: Pillow.Image) -> None:
    with pytest.raises(InvalidPicture) as caught:
        trace(blank)
    assert str(caught.value) == "nothing is drawn on it. Draw with a dark pen on light paper, or light on dark"


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (28, 28), (128, 128)])
def test_any_size_can_be_asked_for(size: tuple[int, int]) -> None:
    spec = Image(width=size[0], height=size[1], mode="L", fit="trace")
    assert prepare_array(np.asarray(draw(3)), spec).shape == (size[1], size[0], 1)


@pytest.mark.parametrize("stroke", [((5, 50), (95, 50)), ((50, 5), (50, 95)), ((5, 5), (95, 95)), ((50, 50), (51, 50))])
def test_lines_and_dots_are_drawings_too(stroke: tuple[tuple[int, int], tuple[int, int]]) -> None:
    sheet = Pillow.new("L", (100, 100), 255)
    ImageDraw.Draw(sheet).line(stroke, fill=0, width=6)
    traced = trace(sheet)
    assert traced.max() == 255
    assert 0.02 < traced.mean() / 255 < 0.9

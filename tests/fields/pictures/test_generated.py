"""Generated pictures: the same everywhere, and worth looking at."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from rookery.fields.pictures.generated import generate_picture
from tests.fields.pictures.samples import imagenet_logits

DIGESTS = {
    0: "80333c958b2d3e82",
    1: "0a21d822c1f228c4",
    12: "e50565f7c6ecd591",
    999_999: "36e33ff0dbcb0238",
}


@pytest.mark.parametrize("number", DIGESTS)
def test_pictures_have_the_same_bits_everywhere(number: int) -> None:
    """A package's golden cases name pictures by number; another machine must see the same ones."""
    picture = generate_picture(number, width=97, height=61)
    assert picture.dtype == np.uint8
    assert picture.shape == (61, 97, 3)
    assert hashlib.sha256(picture.tobytes()).hexdigest()[:16] == DIGESTS[number]


def test_every_number_has_a_picture_of_its_own() -> None:
    pictures = {generate_picture(number, width=32, height=32).tobytes() for number in range(200)}
    assert len(pictures) == 200


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_any_size_can_be_generated(size: tuple[int, int]) -> None:
    width, height = size
    assert all(generate_picture(n, width=width, height=height).shape == (height, width, 3) for n in range(14))


def test_pictures_have_keypoints() -> None:
    """Each of the first fifty gives SIFT at least a hundred keypoints."""
    cv2 = pytest.importorskip("cv2")
    sift = cv2.SIFT_create()
    for number in range(50):
        grey = cv2.cvtColor(generate_picture(number, width=256, height=256), cv2.COLOR_RGB2GRAY)
        assert len(sift.detect(grey, None)) >= 100, number


def test_pictures_move_a_classifier(mobilenet: Path) -> None:
    """Forty pictures fall into at least ten ImageNet classes."""
    pictures = np.stack([generate_picture(number, width=224, height=224) for number in range(40)])
    assert len(set(imagenet_logits(mobilenet, pictures).argmax(axis=1).tolist())) >= 10

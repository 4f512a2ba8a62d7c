"""A declaration of weights is refused where it could not be fetched, checked or fed."""

from __future__ import annotations

from typing import Any

import pytest

from rookery.errors import DefinitionError
from rookery.service.pretrained import Pretrained
from services.images.weights import WEIGHTS

SOUND: dict[str, Any] = {
    "url": "https://weights.example/folder/model.onnx",
    "sha256": "0123456789abcdef" * 4,
    "size_bytes": 1_000,
    "input": "x",
    "output": "scores",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}


def test_a_sound_declaration_has_softmax_and_no_mirror() -> None:
    declared = Pretrained(**SOUND)
    assert (declared.activation, declared.mirrors, declared.licence) == ("softmax", (), "")
    assert Pretrained(**{**SOUND, "size_bytes": None, "activation": "none", "mean": (0, 0, 0)}).size_bytes is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("url", "ftp://weights.example/model.onnx", "no http or https URL"),
        ("url", "file:///etc/passwd", "no http or https URL"),
        ("url", "/model.onnx", "no http or https URL"),
        ("url", "https:///model.onnx", "no http or https URL"),
        ("url", "https://weights.example:http/model.onnx", "no http or https URL"),
        ("url", "https://weights.example/model .onnx", "no http or https URL"),
        ("url", "https://weights.example/model.onnx\r\nHost: other", "no http or https URL"),
        ("url", None, "no http or https URL"),
        ("url", "https://weights.example/", "names no file"),
        ("url", "https://weights.example/..", "names no file"),
        ("url", "https://weights.example/model.onnx?token=1", "has a query"),
        ("mirrors", ("gopher://weights.example/folder",), "mirrors: an address is no http or https URL"),
        ("sha256", "c0c3f76d", "no SHA-256"),
        ("sha256", "C0C3F76D" * 8, "no SHA-256"),
        ("sha256", "g" * 64, "no SHA-256"),
        ("size_bytes", 0, "size_bytes=0 is no size"),
        ("size_bytes", -1, "no size"),
        ("size_bytes", 1.5, "no size"),
        ("size_bytes", True, "no size"),
        ("input", " ", "input is blank"),
        ("output", "", "output is blank"),
        ("mean", (123.675, 116.28, 103.53), "mean=.* is no normalisation"),
        ("mean", (0.5, 0.5), "no normalisation"),
        ("mean", 0.5, "no normalisation"),
        ("mean", (0.5, float("nan"), 0.5), "no normalisation"),
        ("std", (0.229, 0.0, 0.225), "std=.* is no normalisation"),
        ("std", (-0.1, 0.2, 0.2), "no normalisation"),
        ("activation", "sigmoid", "activation='sigmoid' is unknown"),
    ],
)
def test_values_that_mean_nothing_are_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message) as caught:
        Pretrained(**{**SOUND, field: value})
    assert caught.value.cure


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(DefinitionError) as caught:
        Pretrained(**{**SOUND, "url": "https://user:secret@weights.example/model.onnx"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("architecture", WEIGHTS)
def test_the_shipped_declarations_are_pinned(architecture: str) -> None:
    """Both files are named by digest and size, and come from where they are kept and from where they once were."""
    declared = WEIGHTS[architecture]
    assert declared.size_bytes is not None
    assert declared.url.startswith("https://")
    assert declared.mirrors
    assert (declared.licence, bool(declared.source)) == ("Apache-2.0", True)

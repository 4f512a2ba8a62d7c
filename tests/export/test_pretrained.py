"""Pretrained weights as packages: proven, the same bytes each time, and refused when something in them changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from rookery.errors import DefinitionError, DigestMismatch, GoldenMismatch, PackageError
from rookery.export.pretrained import package_pretrained
from rookery.fields.pictures.fit import prepare_array
from rookery.fields.pictures.generated import generate_picture
from rookery.package.golden import check_golden
from rookery.package.opener import open_package
from rookery.package.session import OnnxSession
from rookery.service.definition import Service
from rookery.service.discovery import load_service
from rookery.testing.client import LocalClient
from tests.export.resnet import build_resnet50
from tests.services.pictures import lively

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def images() -> Service:
    return load_service(ROOT / "services", "images")


@pytest.fixture(scope="module")
def packaged(images: Service, mobilenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained") / "package"
    package_pretrained(images, "mobilenet_v2", mobilenet, folder)
    return folder


def test_the_same_weights_give_the_same_content(
    images: Service, mobilenet: Path, packaged: Path, tmp_path: Path
) -> None:
    again = package_pretrained(images, "mobilenet_v2", mobilenet, tmp_path / "again")
    assert again.content_digest == open_package(packaged).manifest.content_digest


def test_the_package_says_where_the_weights_come_from(packaged: Path, mobilenet: Path) -> None:
    facts = json.loads((packaged / "metrics.json").read_text())
    assert facts["parameters"] == 3_487_816
    assert facts["weights"]["sha256"] == hashlib.sha256(mobilenet.read_bytes()).hexdigest()
    assert facts["weights"]["declared"] is False
    assert "answers for them" in (packaged / "MODEL_CARD.md").read_text()
    manifest = open_package(packaged).manifest
    assert manifest.columns == ()
    assert manifest.input.picture is not None
    assert manifest.input.picture.image.shape == (224, 224, 3)


def test_golden_pictures_notice_what_changes_answers(packaged: Path) -> None:
    """Red and blue swapped, a missing mean, a scaled layer: the control for golden cases."""
    package = open_package(packaged)
    assert package.manifest.tensors is not None
    original = onnx.load(str(packaged / "model.onnx"))
    for change in ("swap", "scale"):
        model = onnx.ModelProto()
        model.CopyFrom(original)
        if change == "swap":
            largest = min((t for t in model.graph.initializer if list(t.dims)[1:2] == [3]), key=lambda t: t.dims[0])
            weights = numpy_helper.to_array(largest)[:, ::-1].copy()
        else:
            largest = max(model.graph.initializer, key=lambda t: int(np.prod(t.dims or [0])))
            weights = numpy_helper.to_array(largest) * np.float32(1.2)
        largest.CopyFrom(numpy_helper.from_array(weights, largest.name))
        session = OnnxSession(model.SerializeToString(), package.manifest.tensors)
        with pytest.raises(GoldenMismatch):
            check_golden(list(package.golden), package.encoder, session, package.schema)


def test_a_flipped_byte_is_refused(packaged: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(packaged, copy)
    file = copy / "model.onnx"
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DigestMismatch, match=r"model\.onnx"):
        open_package(copy)


def test_a_package_serves_alone_in_the_generic_shape(packaged: Path) -> None:
    with LocalClient(packaged) as client:
        answer = client.predict_picture(lively(), filename="x.png")
    assert answer["prediction"] in answer["probabilities"]
    assert len(answer["probabilities"]) == 1000
    assert answer["model"] == "mobilenet_v2"


def test_resnet_50_goes_the_same_way(images: Service, tmp_path: Path) -> None:
    """Its graph is the real architecture with random weights, as the real ones are not to be had here."""
    file = tmp_path / "resnet50.onnx"
    file.write_bytes(build_resnet50())
    manifest = package_pretrained(images, "resnet50", file, tmp_path / "package")
    assert manifest.model_name == "resnet50"
    package = open_package(tmp_path / "package")
    picture = package.schema.picture
    assert picture is not None
    row = prepare_array(generate_picture(5, width=300, height=200), picture.image)
    outputs = package.run(row[None])
    assert outputs.shape == (1, 1000)
    assert float(outputs.sum()) == pytest.approx(1.0, abs=1e-4)
    assert json.loads((tmp_path / "package" / "metrics.json").read_text())["parameters"] == 25_557_032


def test_weights_that_do_not_fit_the_declaration_are_refused(images: Service, mobilenet: Path, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no architecture"):
        package_pretrained(images, "vgg", mobilenet, tmp_path / "a")
    wrong = replace(images, pretrained={"m": replace(images.pretrained["mobilenet_v2"], output="logits")})
    with pytest.raises(PackageError, match="logits"):
        package_pretrained(wrong, "m", mobilenet, tmp_path / "b")
    with pytest.raises(PackageError, match="cannot be read"):
        package_pretrained(images, "mobilenet_v2", tmp_path / "nowhere.onnx", tmp_path / "c")
    assert not list(tmp_path.glob("[abc]"))

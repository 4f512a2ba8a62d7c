"""Pretrained weights as packages: proven, the same bytes each time, and refused when something in them changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from rookery.errors import DefinitionError, DigestMismatch, GoldenMismatch, PackageError
from rookery.export.picture_graph import OWN
from rookery.export.pretrained import package_pretrained
from rookery.package.golden import check_golden
from rookery.package.manifest import TensorSpec
from rookery.package.opener import Package, open_package
from rookery.package.session import Inputs, Matrix, OnnxSession
from rookery.service.definition import Service
from rookery.service.discovery import load_service
from rookery.service.task import Classification
from rookery.testing.forms import encode_form
from tests.export.resnet import build_resnet50
from tests.servers import Reply, ServerProcess
from tests.services.pictures import lively

pytestmark = pytest.mark.xdist_group("pictures")

Change = Callable[[ModelProto], None]

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
    data = mobilenet.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert facts == {
        "service": "images",
        "architecture": "mobilenet_v2",
        "parameters": 3_487_816,
        "weights": {
            "sha256": digest,
            "bytes": len(data),
            "declared": False,
            "source": "https://huggingface.co/onnxmodelzoo/mobilenetv2-12",
            "licence": "Apache-2.0",
        },
    }
    card = (packaged / "MODEL_CARD.md").read_text()
    assert card.startswith("# ImageNet classification: mobilenet_v2\n")
    assert f"from a file that was given; Rookery did not train them. SHA-256 `{digest}`" in card
    assert "answers for them" in card
    assert "224 x 224" in card
    # The licence is that of the declared file, which this one is not.
    assert "Licence" not in card


def test_the_card_of_the_declared_file_names_its_source_and_licence(
    images: Service, mobilenet: Path, tmp_path: Path
) -> None:
    digest = hashlib.sha256(mobilenet.read_bytes()).hexdigest()
    declared = replace(images.pretrained["mobilenet_v2"], sha256=digest)
    package_pretrained(replace(images, pretrained={"m": declared}), "m", mobilenet, tmp_path / "package")
    card = (tmp_path / "package" / "MODEL_CARD.md").read_text()
    assert f"weights from {declared.source};" in card
    assert "Licence: Apache-2.0." in card
    assert "answers for them" not in card
    assert json.loads((tmp_path / "package" / "metrics.json").read_text())["weights"]["declared"] is True


def test_the_manifest_describes_pictures_in_and_probabilities_out(packaged: Path) -> None:
    manifest = open_package(packaged).manifest
    assert (manifest.service, manifest.model_name, manifest.candidate) == ("images", "mobilenet_v2", "mobilenet_v2")
    assert manifest.kind == "onnx"
    assert manifest.columns == ()
    assert manifest.input.picture is not None
    assert manifest.input.picture.image.shape == (224, 224, 3)
    assert manifest.tensors is not None
    assert manifest.tensors.input == TensorSpec(name="image", dtype="uint8", shape=(None, 224, 224, 3))
    output = TensorSpec(name="probabilities", dtype="float32", shape=(None, 1000))
    assert manifest.tensors.outputs == {"probabilities": output}
    task = manifest.task_object()
    assert isinstance(task, Classification)
    assert (len(task.labels), task.labels[207]) == (1000, "golden_retriever")
    provenance = manifest.provenance
    assert (provenance.dataset, provenance.seed) == (None, None)
    assert {"onnxruntime", "pillow", "simplejpeg", "rookery"} <= set(provenance.libraries)
    assert datetime.now(UTC) - datetime.fromisoformat(provenance.created_at) < timedelta(hours=1)


# What golden cases notice, and what they let pass


def flip(bit: int) -> Change:
    """Return what flips one bit of the largest weight of the first convolution."""

    def change(model: ModelProto) -> None:
        name = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
        (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
        values = numpy_helper.to_array(tensor).copy()
        values.reshape(-1).view(np.uint32)[np.abs(values).argmax()] ^= np.uint32(1 << bit)
        tensor.CopyFrom(numpy_helper.from_array(values, name))

    return change


def scale(name: str, factor: float) -> Change:
    """Return what multiplies the tensors whose names begin with `name`."""

    def change(model: ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name.startswith(name) and tensor.data_type == TensorProto.FLOAT:
                tensor.CopyFrom(
                    numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), tensor.name)
                )

    return change


def hold_golden(package: Package, change: Change, *, channels: int = 1) -> None:
    """Check a package's golden cases on its graph with a change; `channels` -1 hands pictures over as BGR."""
    assert package.manifest.tensors is not None
    model = onnx.load(str(package.directory / "model.onnx"))
    change(model)
    session = OnnxSession(model.SerializeToString(), package.manifest.tensors)
    check_golden(package.golden, package.encoder, _Turned(session, channels), package.schema)


@dataclass(frozen=True)
class _Turned:
    session: OnnxSession
    channels: int

    def run(self, matrix: Inputs) -> Matrix:
        turned: Any = matrix[..., :: self.channels]
        return self.session.run(np.ascontiguousarray(turned))


MEAN, DEVIATION = f"{OWN}offset", f"{OWN}factor"
NOTICED: dict[str, Change] = {
    "the sign of one weight": flip(31),
    "an upper bit of one weight's exponent": flip(26),
    "the lowest bit of one weight's exponent": flip(23),
    "no mean": scale(MEAN, 0.0),
    "pictures that are divided by 255 twice": scale(DEVIATION, 1 / 255),
    "a deviation that is off by a tenth": scale(DEVIATION, 1.1),
}


@pytest.mark.parametrize("what", NOTICED)
def test_golden_pictures_notice_what_changes_answers(packaged: Path, what: str) -> None:
    with pytest.raises(GoldenMismatch, match="is off the recorded"):
        hold_golden(open_package(packaged), NOTICED[what])


def test_golden_pictures_notice_red_and_blue_swapped(packaged: Path) -> None:
    with pytest.raises(GoldenMismatch, match="is off the recorded"):
        hold_golden(open_package(packaged), flip(0), channels=-1)


def test_golden_pictures_let_roundings_pass(packaged: Path) -> None:
    """What another processor may do: a weight's last bit, and sums that differ in the sixth place.

    That no bit of a file is another is what digests are for.
    """
    package = open_package(packaged)
    hold_golden(package, flip(0))
    hold_golden(package, scale("", 1 + 1e-6))


# Packages on a server


def test_a_flipped_byte_is_refused(packaged: Path, tmp_path: Path, servers: ServerProcess.Factory) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(packaged, copy)
    file = copy / "model.onnx"
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DigestMismatch, match=r"model\.onnx"):
        open_package(copy)
    server = servers.serve("--package", str(copy), ready="/livez", workers="1")
    refused = send(server, "/predict", ROOT / "README.md")
    assert refused.status == 503
    assert "model.onnx: was altered" in refused.json()["detail"]
    assert server.request("GET", "/readyz").status == 503


def test_a_package_serves_alone_in_the_generic_shape(
    packaged: Path, pictures: Path, servers: ServerProcess.Factory
) -> None:
    """Without the service's own code: no parameter is needed, and every label has its probability."""
    server = servers.serve("--package", str(packaged), workers="1")
    told = {name: send(server, "/predict", pictures / name) for name in ("dog.jpg", "cat.jpg")}
    assert [told[name].status for name in told] == [200, 200]
    dog = told["dog.jpg"].json()
    assert dog["prediction"] == "golden_retriever"
    assert told["cat.jpg"].json()["prediction"] == "egyptian_cat"
    assert len(dog["probabilities"]) == 1000
    assert dog["probabilities"]["golden_retriever"] == max(dog["probabilities"].values())
    assert (dog["model"], dog["version"]) == ("mobilenet_v2", told["dog.jpg"].headers["x-model-version"])
    both = send(server, "/predict/batch", pictures / "cat.jpg", pictures / "dog.jpg").json()["predictions"]
    assert [answer["prediction"] for answer in both] == ["egyptian_cat", "golden_retriever"]
    assert send(server, "/predict", ROOT / "README.md").status in (400, 422)
    assert server.request("GET", "/info").json()["parameter_count"] == 3_487_816


def send(server: ServerProcess, path: str, *files: Path) -> Reply:
    """Send files as a form."""
    body, kind = encode_form("file", [(file.name, file.read_bytes()) for file in files])
    return server.request("POST", path, body, headers={"Content-Type": kind}, timeout=60)


def test_resnet_50_goes_the_same_way(images: Service, tmp_path: Path, servers: ServerProcess.Factory) -> None:
    """Its graph is the real architecture with random weights, as the real ones are not to be had here."""
    file, folder = tmp_path / "resnet50.onnx", tmp_path / "package"
    file.write_bytes(build_resnet50())
    manifest = package_pretrained(images, "resnet50", file, folder)
    assert manifest.model_name == "resnet50"
    package = open_package(folder)
    with pytest.raises(GoldenMismatch):
        hold_golden(package, scale(MEAN, 0.0))
    del package
    server = servers.serve("--package", str(folder), workers="1")
    (tmp_path / "x.png").write_bytes(lively())
    answer = send(server, "/predict", tmp_path / "x.png").json()
    assert answer["model"] == "resnet50"
    assert len(answer["probabilities"]) == 1000
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-3)
    assert server.request("GET", "/info").json()["parameter_count"] == 25_557_032


def test_weights_that_do_not_fit_the_declaration_are_refused(images: Service, mobilenet: Path, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no architecture"):
        package_pretrained(images, "vgg", mobilenet, tmp_path / "a")
    wrong = replace(images, pretrained={"m": replace(images.pretrained["mobilenet_v2"], output="logits")})
    with pytest.raises(PackageError, match="logits"):
        package_pretrained(wrong, "m", mobilenet, tmp_path / "b")
    with pytest.raises(PackageError, match="cannot be read"):
        package_pretrained(images, "mobilenet_v2", tmp_path / "nowhere.onnx", tmp_path / "c")
    assert not list(tmp_path.glob("[abc]"))

"""Images, digits and features on a real server: their contracts, and what they do with what is no picture."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rookery.export.pretrained import package_pretrained
from rookery.fields.pictures.generated import generate_picture
from rookery.service.discovery import load_service
from rookery.testing.check import check_service
from rookery.testing.forms import encode_form
from tests.servers import Reply, ServerProcess
from tests.services.conftest import Train
from tests.services.pictures import NO_PICTURES, STROKES, bomb, draw, encode, huge_exif, lively, write_digit

pytestmark = pytest.mark.xdist_group("pictures")

ROOT = Path(__file__).resolve().parents[2]
HAS_WEIGHTS = bool(os.environ.get("ROOKERY_TEST_MOBILENET"))
needs_weights = pytest.mark.skipif(not HAS_WEIGHTS, reason="ROOKERY_TEST_MOBILENET is not set")
TALKATIVE = re.compile(r"PIL|simplejpeg|cv2|onnx|numpy|Traceback|/(usr|home|work|tmp|root|opt)/|0x[0-9a-f]{6}")


class Pictures:
    """A server with the three services, and short ways to ask it."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server

    def send(self, path: str, *files: tuple[str, bytes], field: str = "file", **texts: object) -> Reply:
        """Send files and texts as a form."""
        body, kind = encode_form(field, files, texts)
        return self.server.request("POST", path, body, headers={"Content-Type": kind}, timeout=60)

    def resident_mb(self) -> float:
        """Return the resident memory of the server's workers."""
        reply = self.server.request("GET", "/metrics")
        values = re.findall(rb'rookery_memory_mb\{worker="\d"\} ([\d.]+)', reply.body)
        return sum(map(float, values))


@pytest.fixture(scope="module")
def pictures_server(picture_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pictures]:
    """One server for all tests of this module."""
    factory = ServerProcess.Factory(tmp_path_factory.mktemp("pictures"))
    names = ["digits", "features", *(["images"] if HAS_WEIGHTS else [])]
    yield Pictures(
        factory.serve(*names, home=picture_home, services_folder=str(ROOT / "services"), workers="1", threads="1")
    )
    factory.stop_all()


FIELDS = {"/digits/predict": "image", "/features/predict": "image"} | (
    {"/images/predict": "file"} if HAS_WEIGHTS else {}
)
BAD_PARAMETER = {"/features/predict": 422, "/images/predict": 400}


# What they answer


@needs_weights
@pytest.mark.parametrize(
    ("name", "label", "class_id"), [("dog", "golden_retriever", 207), ("cat", "egyptian_cat", 285)]
)
def test_photographs_are_told(pictures_server: Pictures, pictures: Path, name: str, label: str, class_id: int) -> None:
    reply = pictures_server.send("/images/predict", (f"{name}.jpg", (pictures / f"{name}.jpg").read_bytes()), top_k=5)
    assert reply.status == 200
    answer = reply.json()
    assert list(answer) == ["status", "predictions", "metadata"]
    assert answer["status"] == "success"
    first = answer["predictions"][0]
    assert list(first) == ["class", "confidence", "class_id"]
    assert (first["class"], first["class_id"]) == (label, class_id)
    shares = [each["confidence"] for each in answer["predictions"]]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 5
    metadata = answer["metadata"]
    assert (metadata["filename"], metadata["model"], metadata["device"]) == (f"{name}.jpg", "mobilenet_v2", "cpu")
    assert metadata["image_size"] in ([1080, 1080], [1000, 1000])
    assert metadata["inference_time"] > 0
    assert reply.headers["x-model-version"] == "1"
    assert "x-cache" not in reply.headers


@needs_weights
def test_a_raw_body_and_a_form_get_the_same_answer(pictures_server: Pictures, pictures: Path) -> None:
    data = (pictures / "dog.jpg").read_bytes()
    raw = pictures_server.server.request(
        "POST", "/images/predict?top_k=2", data, headers={"Content-Type": "image/jpeg"}
    ).json()
    form = pictures_server.send("/images/predict", ("dog.jpg", data), top_k=2).json()
    assert raw["predictions"] == form["predictions"]
    assert (raw["metadata"]["filename"], form["metadata"]["filename"]) == (None, "dog.jpg")


@needs_weights
def test_info_tells_of_weights_and_configuration(pictures_server: Pictures) -> None:
    info = pictures_server.server.request("GET", "/images/info").json()
    assert info["parameter_count"] == 3_487_816
    assert info["picture"]["width"] == info["picture"]["height"] == 224
    assert info["configuration"]["device"] == "cpu"
    assert info["configuration"]["batch_rows"] in (1, 2, 4, 8, 16)
    assert info["inputs"][0]["name"] == "top_k"


@needs_weights
@pytest.mark.parametrize("top_k", ["0", "-1", "1001", "five", "2.5", "", "1e2"])
def test_top_k_must_be_a_number_of_classes(pictures_server: Pictures, top_k: str) -> None:
    reply = pictures_server.send("/images/predict", ("a.png", lively()), top_k=top_k)
    assert reply.status == 400
    assert "top_k" in reply.json()["detail"]


@needs_weights
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("C:\\\\photos\\\\dog.jpg", "dog.jpg"),
        ("<script>alert(1)</script>.png", "script_.png"),
        ("a\x1b[31mb\x07.png", "a__31mb_.png"),
        ("..", None),
    ],
)
def test_a_file_name_is_shown_without_what_could_do_harm(
    pictures_server: Pictures, name: str, shown: str | None
) -> None:
    reply = pictures_server.send("/images/predict", (name, lively()))
    assert reply.status == 200
    assert reply.json()["metadata"]["filename"] == shown


@needs_weights
def test_a_long_name_is_cut_and_an_endless_one_refused(pictures_server: Pictures) -> None:
    shown = pictures_server.send("/images/predict", ("x" * 2_000 + ".png", lively())).json()["metadata"]["filename"]
    assert len(shown) <= 100
    assert shown.endswith(".png")
    assert pictures_server.send("/images/predict", ("x" * 100_000 + ".png", lively())).status == 400


def test_keypoints_are_opencvs_own(pictures_server: Pictures) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (120, 160), dtype=np.uint8)
    pixels: Any = cv2.GaussianBlur(noise, (0, 0), 2)
    reply = pictures_server.send(
        "/features/api/v1/features/detect?max_keypoints=20&descriptors=true",
        ("x.tif", encode(pixels, "TIFF")),
        field="image",
    )
    assert reply.status == 200
    answer = reply.json()
    sift: Any = cv2.SIFT.create(20, 3, 0.04, 10, 1.6, cv2.CV_8U)
    points, descriptors = sift.detectAndCompute(pixels, None)
    assert answer["num_keypoints"] == len(points) == len(answer["keypoints"])
    for point, given in zip(points, answer["keypoints"], strict=True):
        expected = {"x": point.pt[0], "y": point.pt[1], "size": point.size, "angle": point.angle}
        expected |= {"response": point.response, "octave": point.octave}
        assert given == pytest.approx(expected)
    given_bytes = np.frombuffer(base64.b64decode(answer["descriptors"]), np.uint8).reshape(-1, 128)
    assert np.array_equal(given_bytes, descriptors)
    assert answer["image"] == {"width": 160, "height": 120, "format": "TIFF"}
    assert answer["processing_time_ms"] > 0


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [("octave_layers", 5, "nOctaveLayers"), ("contrast_threshold", 0.1, "contrastThreshold"),
     ("edge_threshold", 4.0, "edgeThreshold"), ("sigma", 2.5, "sigma")],
)  # fmt: skip
def test_every_parameter_of_sift_counts(pictures_server: Pictures, name: str, value: float, option: str) -> None:
    pixels: Any = generate_picture(3, width=200, height=150)[..., 1].copy()
    data = encode(pixels)
    answer = pictures_server.send("/features/predict", ("x.png", data), field="image", **{name: value}).json()
    options: Any = {"nfeatures": 0, "nOctaveLayers": 3, "contrastThreshold": 0.04, "edgeThreshold": 10, "sigma": 1.6}
    points = cv2.SIFT.create(**options | {option: value}).detect(pixels, None)
    assert [(point["x"], point["y"]) for point in answer["keypoints"]] == [
        (pytest.approx(point.pt[0]), pytest.approx(point.pt[1])) for point in points
    ]
    default = pictures_server.send("/features/predict", ("x.png", data), field="image").json()
    assert answer["keypoints"] != default["keypoints"]


def test_the_second_time_comes_from_the_cache(pictures_server: Pictures) -> None:
    data = lively(11)
    first, second = (pictures_server.send("/features/predict", ("x.png", data), field="image") for _ in range(2))
    other = pictures_server.send("/features/predict", ("x.png", data), field="image", max_keypoints=3)
    assert [reply.headers["x-cache"] for reply in (first, second, other)] == ["miss", "hit", "miss"]
    assert [reply.json()["cached"] for reply in (first, second, other)] == [False, True, False]
    assert first.json()["keypoints"] == second.json()["keypoints"]
    assert other.json()["num_keypoints"] <= 4


def test_written_digits_are_read(pictures_server: Pictures) -> None:
    """In a typeface that the model has never seen, dark on light and light on dark."""
    right = 0
    for digit in range(10):
        for ink, paper in ((20, 240), (255, 0)):
            reply = pictures_server.send(
                "/digits/predict", ("d.png", write_digit(digit, ink=ink, paper=paper)), field="image"
            )
            assert reply.status == 200
            right += reply.json()["digit"] == digit
    assert right > 12


def test_digits_are_told_as_well_as_promised(trained: Train) -> None:
    report = trained("digits").report
    assert report.chosen_candidate.held_out["accuracy"] >= 0.98
    assert report.scores["accuracy"] >= 0.98


@pytest.mark.parametrize("name", ["digits", "features"])
def test_the_services_keep_their_whole_contract(name: str) -> None:
    assert check_service(load_service(ROOT / "services", name)).inputs


def test_images_keep_their_whole_contract(mobilenet: Path, tmp_path: Path) -> None:
    images = load_service(ROOT / "services", "images")
    package_pretrained(images, "mobilenet_v2", mobilenet, tmp_path / "package")
    assert check_service(images, tmp_path / "package").inputs


@needs_weights
def test_several_photographs_are_answered_in_their_order(pictures_server: Pictures, pictures: Path) -> None:
    files = [(name, (pictures / name).read_bytes()) for name in ("dog.jpg", "cat.jpg", "dog.jpg")]
    answers = pictures_server.send("/images/predict/batch", *files, top_k=1).json()["predictions"]
    assert [answer["predictions"][0]["class_id"] for answer in answers] == [207, 285, 207]


# What they refuse


@pytest.mark.parametrize("path", FIELDS)
@pytest.mark.parametrize("what", NO_PICTURES)
def test_what_is_no_picture_is_400_with_the_reason(pictures_server: Pictures, path: str, what: str) -> None:
    reply = pictures_server.send(path, ("x.png", NO_PICTURES[what]), field=FIELDS[path])
    assert reply.status == 400
    detail = reply.json()["detail"]
    assert len(detail) > 10
    assert not TALKATIVE.search(detail)


def test_bombs_leave_the_memory_flat_and_the_worker_alive(pictures_server: Pictures) -> None:
    for path, field in FIELDS.items():
        pictures_server.send(path, ("x.png", lively()), field=field)
    data, before = bomb(), pictures_server.resident_mb()
    for _ in range(20):
        for path, field in FIELDS.items():
            assert pictures_server.send(path, ("x.png", data), field=field).status == 400
            assert pictures_server.send(path, ("x.jpg", huge_exif()), field=field).status in (200, 400, 413)
    assert pictures_server.resident_mb() - before < 60
    assert pictures_server.server.request("GET", "/readyz").status == 200


@pytest.mark.parametrize("path", FIELDS)
def test_requests_without_one_file_are_400(pictures_server: Pictures, path: str) -> None:
    field = FIELDS[path]
    file = ("x.png", lively())
    for reply, told in (
        (pictures_server.server.request("POST", path), field),
        (pictures_server.send(path), field),
        (pictures_server.send(path, file, field="photo"), "photo"),
        (pictures_server.send(path, file, file, field=field), "2 files"),
        (pictures_server.send(path, **{field: "x.png"}), "not a file"),
    ):
        assert reply.status == 400
        assert told in reply.json()["detail"]


@pytest.mark.parametrize("path", BAD_PARAMETER if HAS_WEIGHTS else ["/features/predict"])
def test_unknown_and_doubled_parameters_are_named(pictures_server: Pictures, path: str) -> None:
    field, status = FIELDS[path], BAD_PARAMETER[path]
    known = "top_k" if "images" in path else "sigma"
    file = ("x.png", lively())
    unknown = pictures_server.send(path, file, field=field, **{known + "s": 1})
    doubled = pictures_server.send(f"{path}?{known}=2", file, field=field, **{known: 2})
    assert (unknown.status, doubled.status) == (status, status)
    assert f"did you mean {known}" in unknown.body.decode()
    assert "twice" in doubled.body.decode()


@pytest.mark.parametrize("path", FIELDS)
def test_other_bodies_are_413_and_415(pictures_server: Pictures, path: str) -> None:
    server = pictures_server.server
    assert server.request("POST", path, {"a": 1}).status == 415
    body, kind = encode_form(FIELDS[path], [("x.png", lively())])
    packed = server.request("POST", path, body, headers={"Content-Type": kind, "Content-Encoding": "gzip"})
    assert packed.status == 415
    assert (
        server.request("POST", path, b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}).status
        == 415
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 99000000\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_without_end_is_cut_off(pictures_server: Pictures) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", pictures_server.server.port, timeout=60)

    def endless() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="image"; filename="x.png"\r\n\r\n'
        for _ in range(1000):
            yield bytes(100_000)

    try:
        connection.request(
            "POST",
            "/features/predict",
            endless(),
            {"Content-Type": "multipart/form-data; boundary=b"},
            encode_chunked=True,
        )
        status = connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # the answer came while we were still sending, and the connection was closed
    assert status == 413
    assert pictures_server.server.request("GET", "/livez").status == 200


def test_forms_that_are_none_are_400(pictures_server: Pictures) -> None:
    body, kind = encode_form("image", [("x.png", lively(width=40, height=30))])
    server = pictures_server.server
    for cut in range(0, len(body), max(1, len(body) // 60)):
        reply = server.request("POST", "/digits/predict", body[:cut], headers={"Content-Type": kind})
        assert reply.status == 400
    for other in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 100,
    ):
        assert server.request("POST", "/digits/predict", body, headers={"Content-Type": other}).status == 400
    coded = body.replace(b"\r\n\r\n", b"\r\ncontent-transfer-encoding: base64\r\n\r\n", 1)
    assert server.request("POST", "/digits/predict", coded, headers={"Content-Type": kind}).status == 415
    many = encode_form("image", [("x.png", b"")] * 3000)
    assert server.request("POST", "/digits/predict", many[0], headers={"Content-Type": many[1]}).status == 400


def test_a_blank_sheet_is_no_digit(pictures_server: Pictures) -> None:
    reply = pictures_server.send("/digits/predict", ("x.png", encode(np.full((50, 50), 240, np.uint8))), field="image")
    assert reply.status == 400
    assert "drawn" in reply.json()["detail"]


def test_the_api_is_documented(pictures_server: Pictures) -> None:
    document = pictures_server.server.request("GET", "/features/openapi.json").json()
    operation: dict[str, Any] = document["paths"]["/features/api/v1/features/detect"]["post"]
    assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "image/*"}
    assert "max_keypoints" in {parameter["name"] for parameter in operation["parameters"]}
    assert document["components"]["schemas"]["Input"]["properties"]["image"]["format"] == "binary"
    json.dumps(document, allow_nan=False)


@needs_weights
def test_the_api_of_images_names_top_k_and_its_limits(pictures_server: Pictures) -> None:
    document = pictures_server.server.request("GET", "/images/openapi.json").json()
    operation = document["paths"]["/images/predict"]["post"]
    (top_k,) = operation["parameters"]
    assert (top_k["name"], top_k["in"], top_k["required"]) == ("top_k", "query", False)
    assert (top_k["schema"]["minimum"], top_k["schema"]["maximum"]) == (1, 1000)
    assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "image/*"}
    several = document["paths"]["/images/predict/batch"]["post"]["requestBody"]["content"]
    assert set(several) == {"multipart/form-data"}
    assert document["components"]["schemas"]["InputBatch"]["properties"]["file"]["maxItems"] == 32


def test_info_of_features_names_its_picture_its_parameters_and_its_cache(pictures_server: Pictures) -> None:
    info = pictures_server.server.request("GET", "/features/info").json()
    assert info["picture"]["formats"] == ["JPEG", "PNG", "WEBP", "TIFF"]
    assert info["picture"]["mode"] == "L"
    assert info["configuration"]["cached"] is True
    assert [entry["name"] for entry in info["inputs"]][:2] == ["max_keypoints", "descriptors"]
    assert info["task"]["kind"] == "function"
    assert info["provenance"]["libraries"]["opencv-python-headless"] == metadata.version("opencv-python-headless")


def test_wrong_parameters_of_features_are_fastapis_list(pictures_server: Pictures) -> None:
    reply = pictures_server.send(
        "/features/predict", ("x.png", lively()), field="image", sigma=-1, max_keypoints="many"
    )
    assert reply.status == 422
    problems = reply.json()["detail"]
    assert {tuple(problem["loc"]) for problem in problems} == {("body", "sigma"), ("body", "max_keypoints")}
    assert all(set(problem) >= {"type", "loc", "msg", "input"} for problem in problems)


def test_names_that_end_otherwise_are_refused_by_features_alone(pictures_server: Pictures) -> None:
    data = lively()
    assert pictures_server.send("/features/predict", ("x.exe", data), field="image").status == 400
    assert pictures_server.send("/digits/predict", ("x.exe", write_digit(1)), field="image").status == 200


def test_drawn_strokes_are_read_as_digits(pictures_server: Pictures) -> None:
    """Strokes of a pen, at several sizes and widths."""
    right = 0
    for digit, strokes in STROKES.items():
        for size in (60, 200):
            reply = pictures_server.send("/digits/predict", ("d.png", draw(strokes, size=size)), field="image")
            assert reply.status == 200
            right += reply.json()["digit"] == digit
    assert right > len(STROKES)


def test_other_code_than_was_registered_is_refused(
    picture_home: Path, servers: ServerProcess.Factory, tmp_path: Path
) -> None:
    """The server stays up and says which code to deploy; it was another file that changed, not the version."""
    folder = tmp_path / "services" / "features"
    folder.mkdir(parents=True)
    text = (ROOT / "services" / "features" / "service.py").read_text()
    (folder / "service.py").write_text(text + "\n# another word\n")
    server = servers.serve(
        "features", home=picture_home, services_folder=str(folder.parent), workers="1", ready="/livez"
    )
    health = server.request("GET", "/health")
    assert health.status == 503
    assert "other code" in health.json()["reason"]
    assert "rookery train features" in health.json()["reason"]
    body, kind = encode_form("image", [("x.png", lively())])
    assert server.request("POST", "/predict", body, headers={"Content-Type": kind}).status == 503

"""Every kind of bad request gets its exact status, and a body that says what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rookery.settings import Settings
from tests.serving.conftest import PENGUIN, Client, serving, strict_json


def changed(**fields: Any) -> bytes:
    return json.dumps({**PENGUIN, **fields}).encode()


def raw(field: str, literal: str) -> bytes:
    """Return the penguin with one value written as it stands."""
    return re.sub(rf'("{field}": )[^,}}]+', rf"\g<1>{literal}", json.dumps(PENGUIN)).encode()


WITHOUT_YEAR = json.dumps({name: value for name, value in PENGUIN.items() if name != "year"}).encode()

BAD_BODIES = {
    "missing field": (WITHOUT_YEAR, "year"),
    "extra field": (changed(mas_g=1), "mass_g"),
    "mistyped number": (changed(mass_g="heavy"), "mass_g"),
    "number as text": (changed(mass_g="3750"), "mass_g"),
    "integer with a fraction": (changed(year=2008.5), "year"),
    "boolean as number": (changed(wild=1), "wild"),
    "number as boolean": (changed(mass_g=True), "mass_g"),
    "null": (changed(mass_g=None), "mass_g"),
    "below its range": (changed(mass_g=3.75), "kilogram"),
    "above its range": (changed(mass_g=90000), "mass_g"),
    "unknown category": (changed(island="Drem"), "Dream"),
    "NaN": (raw("mass_g", "NaN"), ""),
    "infinity": (raw("mass_g", "Infinity"), ""),
    "minus infinity": (raw("mass_g", "-Infinity"), ""),
    "overflowing number": (raw("mass_g", "1e999"), ""),
    "overflowing integer": (raw("year", "1" + "0" * 400), ""),
    "a broken rule": (changed(mass_g=1200.0), "a penguin weighs more"),
    "an empty body": (b"", ""),
    "white space": (b"  \n ", ""),
    "a half object": (b'{"mass_g": 3750', ""),
    "a list": (b"[]", ""),
    "a number": (b"17", ""),
    "null alone": (b"null", ""),
    "invalid UTF-8": (b'{"island": "\xff\xfe"}', ""),
    "a lone surrogate": (b'{"island": "\\ud800"}', ""),
    "a NUL": (b"\0", ""),
    "deep nesting": (b"[" * 20_000, ""),
    "deep nesting in a field": (changed(mass_g=0).replace(b"0", b"[" * 5_000, 1), ""),
    "a duplicate trailing value": (json.dumps(PENGUIN).encode() * 2, ""),
}


@pytest.mark.parametrize(("body", "hint"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_an_invalid_body_is_422_and_says_where(client: Client, body: bytes, hint: str) -> None:
    response = client.predict(body)
    assert response.status_code == 422
    details = strict_json(response.text)["detail"]
    assert details
    for problem in details:
        assert {"type", "loc", "msg"} <= set(problem)
        assert problem["loc"][0] == "body"
    assert hint in response.text
    assert len(response.content) < 20_000


def test_a_bad_row_of_a_batch_is_named_by_its_index(client: Client) -> None:
    rows = [PENGUIN, {**PENGUIN, "mass_g": 1.0}, PENGUIN]
    response = client.predict({"rows": rows}, path="/predict/batch")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "rows", 1, "mass_g"]


@pytest.mark.parametrize("body", [{}, {"rows": []}, {"rows": 3}, {"rows": [[]]}, {"rows": [PENGUIN], "x": 1}])
def test_a_malformed_batch_is_422(client: Client, body: Any) -> None:
    assert client.predict(body, path="/predict/batch").status_code == 422


def test_more_rows_than_allowed_are_413(client: Client) -> None:
    response = client.predict({"rows": [PENGUIN] * 1001}, path="/predict/batch")
    assert response.status_code == 413
    assert "1000" in response.json()["detail"]


def test_a_body_of_ten_megabytes_is_413(client: Client) -> None:
    response = client.predict(b'{"island": "' + b"x" * 10_000_000 + b'"}')
    assert response.status_code == 413
    assert "2000000 bytes" in response.json()["detail"]
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "json",
     "application/json; charset=latin-1", "application/json; charset=utf-16", "image/png", ";"],
)  # fmt: skip
def test_another_content_type_is_415(client: Client, content_type: str) -> None:
    response = client.predict(PENGUIN, content_type=content_type)
    expected = 200 if content_type == ";" else 415
    assert response.status_code == expected
    if expected == 415:
        assert "application/json" in response.json()["detail"]


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=UTF-8", 'application/json;charset="utf-8"',
     "application/vnd.penguin+json", ""],
)  # fmt: skip
def test_every_way_to_say_json_is_read(client: Client, content_type: str) -> None:
    assert client.predict(PENGUIN, content_type=content_type).status_code == 200


def test_no_content_type_is_taken_for_json(client: Client) -> None:
    assert client.ask("POST", "/predict", content=json.dumps(PENGUIN).encode()).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip"])
def test_a_compressed_body_is_415(client: Client, coding: str) -> None:
    assert client.predict(PENGUIN, content_encoding=coding).status_code == 415
    assert client.predict(PENGUIN, content_encoding="identity").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_another_method_is_405_and_names_the_right_one(client: Client, method: str) -> None:
    response = client.ask(method, "/predict")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        assert "POST" in strict_json(response.text)["detail"]
    assert client.ask("DELETE", "/health").headers["allow"] == "GET, HEAD"


def test_an_unknown_path_is_404_with_the_nearest_ones(client: Client) -> None:
    response = client.ask("POST", "/predct", json=PENGUIN)
    assert response.status_code == 404
    assert "/predict" in response.json()["detail"]
    assert client.get("/xyz").json()["detail"] == "there is nothing at this path"


@pytest.mark.parametrize("path", ["/predict/", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/docs/assets/../x",
                                  "/" + "a" * 5_000, "/%00", "/%ff%fe", "/docs/assets/", "/PREDICT"])  # fmt: skip
def test_strange_paths_are_404(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "detail" in strict_json(response.text)


@pytest.mark.parametrize(
    ("value", "echoed"), [("abc-123", True), ("a b", False), ("x" * 129, False), ("<script>", False), ("", False)]
)
def test_a_clients_request_id_is_echoed_if_it_is_sane(client: Client, value: str, echoed: bool) -> None:
    response = client.predict(PENGUIN, x_request_id=value)
    own = response.json()["request_id"]
    assert response.headers["x-request-id"] == (value if echoed else own)
    assert own != value
    assert (client.get("/health", headers={"x-request-id": value}).headers["x-request-id"] == value) is echoed


def test_errors_show_neither_paths_nor_tracebacks_nor_libraries(client: Client, penguin_package: Path) -> None:
    bodies = [body for body, _ in BAD_BODIES.values()]
    texts = [client.predict(body).text for body in bodies] + [client.get("/nothing").text]
    for text in texts:
        assert str(penguin_package) not in text
        for word in ("Traceback", "pydantic", "onnxruntime", "msgspec", "starlette", "site-packages", ".py"):
            assert word.lower() not in text.lower(), text


def test_the_worker_answers_after_everything_bad(penguin_package: Path) -> None:
    client, assembly = serving(Settings(package=penguin_package))
    for body, _ in BAD_BODIES.values():
        client.predict(body)
    assert client.predict().status_code == 200
    assert assembly.mounts[0].open_requests == 0

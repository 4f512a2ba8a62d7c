"""Whatever is sent: strict JSON comes back, with a documented status, and never a 500."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rookery.settings import Settings
from tests.serving.conftest import PENGUIN, serving, strict_json

DOCUMENTED = {200, 400, 404, 405, 408, 413, 415, 422, 503, 504}


@pytest.fixture(scope="module")
def post(penguin_package: Path) -> Iterator[Any]:
    """Send bytes to a path and return the response."""
    client, _ = serving(Settings(package=penguin_package))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app=client.app), base_url="http://rookery.test")
    with asyncio.Runner() as runner:

        def send(path: str, content: bytes, **headers: bytes) -> httpx.Response:
            named = {b"content-type": b"application/json"}
            named |= {name.encode(): value for name, value in headers.items()}
            return runner.run(http.post(path, content=content, headers=named))

        yield send
        runner.run(http.aclose())


EDGES = [1e300, -1e300, 3.4e38, 3.5e38, 5e-324, 2**53, 10**400, 1000, 9000]
numbers = st.integers() | st.floats() | st.sampled_from(EDGES)
texts = st.text(max_size=30) | st.sampled_from(["Dream", "Biscoe", "dream"])
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.one_of(st.sampled_from([*PENGUIN, "mass", "rows"]), st.text(max_size=12))

rows = st.dictionaries(names, values, max_size=8).map(lambda changes: {**PENGUIN, **changes})
valid_rows = st.fixed_dictionaries(
    {
        "mass_g": st.floats(1501, 9000) | st.integers(1501, 9000),
        "year": st.integers(2000, 2030),
        "island": st.sampled_from(["Biscoe", "Dream", "Torgersen"]),
        "wild": st.booleans(),
    }
)


def dump(value: Any) -> bytes:
    """Write JSON, NaN and infinities included, and lone surrogates as escapes."""
    return json.dumps(value).encode()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid body with some bytes changed, cut out or put in."""
    body = bytearray(dump(draw(valid_rows)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(body)


garbage = st.binary(max_size=60) | st.text(max_size=60).map(str.encode)
bodies = rows.map(dump) | values.map(dump) | mutated() | garbage
row_lists = st.lists(rows, max_size=5).map(lambda many: dump({"rows": many}))
batches = row_lists | st.dictionaries(names, values, max_size=4).map(dump) | bodies

CHECKS = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(response: httpx.Response) -> None:
    assert response.status_code in DOCUMENTED, response.text
    answer = strict_json(response.content)
    assert response.headers["x-request-id"]
    if response.status_code == 422:
        assert answer["detail"]
        assert all({"type", "loc", "msg"} <= set(problem) for problem in answer["detail"])
    elif response.status_code != 200:
        assert isinstance(answer["detail"], str)


@CHECKS
@given(body=bodies)
def test_any_body_gets_a_documented_answer(post: Any, body: bytes) -> None:
    check(post("/predict", body))


@CHECKS
@given(body=batches)
def test_any_batch_gets_a_documented_answer(post: Any, body: bytes) -> None:
    check(post("/predict/batch", body))


@CHECKS
@given(row=valid_rows)
def test_every_valid_input_is_answered(post: Any, row: dict[str, Any]) -> None:
    response = post("/predict", dump(row))
    assert response.status_code == 200, response.text
    answer = strict_json(response.content)
    assert answer["prediction"] == max(answer["probabilities"], key=answer["probabilities"].__getitem__)


@CHECKS
@given(
    path=st.text(
        st.characters(codec="ascii", exclude_characters="?#\\", min_codepoint=33, max_codepoint=126), max_size=40
    ),
    value=st.binary(max_size=40).filter(lambda value: not set(value) & set(b"\r\n\0")),
)
def test_any_path_and_header_gets_a_documented_answer(post: Any, path: str, value: bytes) -> None:
    check(post("/" + path.lstrip("/"), dump(PENGUIN), **{"x-request-id": value, "content-type": value}))

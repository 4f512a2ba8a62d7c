"""Request bodies arrive in pieces, too slowly, too long, or not at all."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rookery.settings import Settings
from tests.serving.conftest import PENGUIN, Client, serving

BODY = json.dumps(PENGUIN).encode()


@dataclass
class Wire:
    """One request's ASGI channel: sends what it is told to, keeps what it gets."""

    pieces: Sequence[bytes]
    ends: bool = True
    """Whether the body ends with the last piece; otherwise nothing more ever comes."""
    hangs_up: bool = False
    """Whether the client leaves after the last piece."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    received: int = 0

    async def receive(self) -> dict[str, Any]:
        if self.received < len(self.pieces):
            piece = self.pieces[self.received]
            self.received += 1
            is_last = self.ends and self.received == len(self.pieces)
            return {"type": "http.request", "body": piece, "more_body": not is_last}
        if self.hangs_up:
            return {"type": "http.disconnect"}
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits for so long")

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


def post(app: Any, wire: Wire, path: str = "/predict", *headers: tuple[bytes, bytes]) -> Wire:
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"rookery.test"), *headers], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    run: Callable[..., Awaitable[None]] = app
    asyncio.run(run(scope, wire.receive, wire.send))  # type: ignore[arg-type]
    return wire


def test_a_body_in_single_bytes_is_the_same_as_in_one(client: Client) -> None:
    wire = post(client.app, Wire([bytes([byte]) for byte in BODY]))
    assert wire.status == 200
    assert json.loads(wire.body)["probabilities"] == client.predict().json()["probabilities"]


def test_a_declared_length_above_the_limit_is_refused_before_anything_is_read(client: Client) -> None:
    wire = Wire([b"x"] * 3, hangs_up=True)
    post(client.app, wire, "/predict", (b"content-length", b"2000001"))
    assert wire.status == 413
    assert wire.headers[b"connection"] == b"close"
    assert json.loads(wire.body)["detail"].startswith("the request's body is longer")


def test_an_undeclared_long_body_is_refused_as_soon_as_it_is_too_long(client: Client) -> None:
    class Watched(Wire):
        async def send(self, message: dict[str, Any]) -> None:
            if not self.sent:
                self.read_before_answer = self.received
            await super().send(message)

    wire = Watched([b"x" * 1_000_000] * 40)
    post(client.app, wire)
    assert wire.status == 413
    assert wire.read_before_answer == 3
    assert wire.received == 40, "what was still on its way is swallowed, so that the client can read the answer"
    assert int(wire.headers[b"content-length"]) == len(wire.body)


def test_an_endless_body_is_not_swallowed_for_ever(client: Client) -> None:
    wire = Wire([b"x" * 1_000_000] * 200)
    post(client.app, wire)
    assert wire.status == 413
    assert wire.received < 100


def test_a_body_that_does_not_come_is_408(penguin_package: Path) -> None:
    settings = replace(Settings(package=penguin_package), body_timeout=0.1)
    wire = Wire([BODY[:10]], ends=False)
    start = time.monotonic()
    # The rest is waited for once more, while the refusal lingers.
    post(serving(settings)[0].app, wire)
    assert wire.status == 408
    assert wire.headers[b"connection"] == b"close"
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("pieces", [[], [b""], [BODY[:20]]])
def test_a_client_that_leaves_gets_nothing_and_costs_nothing(penguin_package: Path, pieces: list[bytes]) -> None:
    client, assembly = serving(Settings(package=penguin_package))
    wire = post(client.app, Wire(pieces, ends=False, hangs_up=True))
    assert wire.sent == []
    assert assembly.mounts[0].open_requests == 0
    assert 'status="500"' not in client.get("/metrics").text


def test_a_length_that_is_no_number_is_400(client: Client) -> None:
    assert post(client.app, Wire([BODY]), "/predict", (b"content-length", b"-1")).status == 400
    assert post(client.app, Wire([BODY]), "/predict", (b"content-length", b"9" * 40)).status == 400

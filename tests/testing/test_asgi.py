"""The in-process caller: requests, lifespan, and applications that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rookery.testing.asgi import AsgiCaller


async def echo(request: Request) -> Response:
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "query": dict(request.query_params),
            "body": (await request.body()).decode(),
            "type": request.headers.get("content-type"),
            "mine": request.headers.get("x-mine"),
        },
        headers={"X-Answer": "yes"},
    )


async def not_json(_: Request) -> Response:
    return Response(b'{"value": NaN}', media_type="application/json")


@pytest.fixture
def caller() -> Iterator[AsgiCaller]:
    caller = AsgiCaller(Starlette(routes=[Route("/echo", echo, methods=["POST"]), Route("/nan", not_json)]))
    yield caller
    caller.close()


def test_a_request_arrives_whole(caller: AsgiCaller) -> None:
    """Method, path, query, headers and body reach the application; its answer comes back."""
    response = caller.request("POST", "/echo?a=1", b"hello", {"X-Mine": "2"})
    assert response.status == 200
    assert response.headers["x-answer"] == "yes"
    assert response.json() == {
        "method": "POST",
        "path": "/echo",
        "query": {"a": "1"},
        "body": "hello",
        "type": "application/json",
        "mine": "2",
    }


def test_nan_in_an_answer_is_no_json(caller: AsgiCaller) -> None:
    """The body is read strictly, so a test that calls `json` notices NaN."""
    with pytest.raises(ValueError, match="NaN"):
        caller.request("GET", "/nan").json()


def test_the_lifespan_begins_and_ends() -> None:
    """The application's start-up runs before the first request, its shutdown in `close`, once."""
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{phase}"
                events.append(phase)
                await send({"type": f"lifespan.{phase}.complete"})
            return
        events.append("request")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    caller = AsgiCaller(app)
    assert caller.request("GET", "/").status == 204
    caller.close()
    caller.close()
    assert events == ["startup", "request", "shutdown"]


def test_an_application_without_lifespan_works() -> None:
    """An application that knows only HTTP, and raises for anything else, is called all the same."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only HTTP")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    caller = AsgiCaller(app)
    assert caller.request("GET", "/").text == "ok"
    caller.close()


def test_a_failed_start_is_told() -> None:
    """A lifespan that reports failure raises where the caller is made, with the application's own words."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no model"})

    with pytest.raises(RuntimeError, match="no model"):
        AsgiCaller(app)


def test_a_client_that_waits_stays_connected() -> None:
    """After the body the application hears nothing more: the client has not left."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await receive()
        second = asyncio.ensure_future(receive())
        done, _ = await asyncio.wait([second], timeout=0.05)
        second.cancel()
        await send({"type": "http.response.start", "status": 500 if done else 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    caller = AsgiCaller(app)
    assert caller.request("POST", "/", b"{}").status == 200
    caller.close()

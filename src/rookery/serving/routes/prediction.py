"""`POST /predict` and `/predict/batch`: the pipeline behind the application's door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from rookery.errors import Overloaded, PayloadTooLarge, RequestError
from rookery.pipeline.call import Call, CallKind
from rookery.serving.bodies import READABLE_JSON, BodyTimeout, ClientGone, is_json_type, read_body
from rookery.serving.http import encode_error, retry_after
from rookery.serving.mount import Mount
from rookery.serving.responses import EarlyRefusal
from rookery.serving.site import EXCHANGE, Exchange

TIMEOUT_BODY = b'{"detail":"the request\'s body did not arrive in time"}'


class Predict:
    """Answers predictions of one service; the body goes to the pipeline as it came."""

    def __init__(self, mount: Mount, kind: CallKind, *, body_timeout: float) -> None:
        self._mount = mount
        self._kind = kind
        self._body_timeout = body_timeout

    async def __call__(self, request: Request) -> Response:
        """Read the request, let the pipeline answer it, and send what it wrote."""
        with self._mount.bodies.hold() as take:
            return await self._respond(request, take)

    async def _respond(self, request: Request, take: Callable[[int], None]) -> Response:
        exchange: Exchange = request.scope[EXCHANGE]
        try:
            call = await self.read_call(request, take)
        except (PayloadTooLarge, Overloaded) as error:
            return EarlyRefusal(*encode_error(error), _describe(error))
        except BodyTimeout:
            return EarlyRefusal(408, TIMEOUT_BODY)
        except RequestError as error:
            status, payload = encode_error(error)
            return Response(payload, status, media_type="application/json")
        await self._answer(call, request.receive)
        if call.payload is None:
            raise RuntimeError(f"{self._mount.name}: the pipeline left a call unanswered")
        exchange.is_counted = True
        exchange.request_id = call.request_id
        exchange.version = None if call.version is None else call.version.version
        if call.error is not None:
            headers = _describe(call.error)
        else:
            headers = {} if call.cache_result is None else {"x-cache": call.cache_result}
        return Response(call.payload, call.status, headers, media_type="application/json")

    async def read_call(self, request: Request, take: Callable[[int], None]) -> Call:
        """Read the body, which goes to the pipeline as it came; its bytes take their room by `take`.

        Raises:
            RequestError: the body is too long, not of a type that is read, or there is no room for it.
            BodyTimeout: it did not arrive in time.
            ClientGone: the client left.
        """
        body = await read_body(
            request.scope["headers"],
            request.receive,
            limit=self._mount.contract.limits.body_bytes,
            seconds=self._body_timeout,
            is_readable=is_json_type,
            readable=READABLE_JSON,
            take=take,
        )
        exchange: Exchange = request.scope[EXCHANGE]
        return Call(self._kind, body, time.perf_counter(), client_request_id=exchange.client_request_id)

    async def _answer(self, call: Call, receive: Receive) -> None:
        """Answer the call; one whose client leaves while it waits for a thread is dropped.

        Raises:
            ClientGone: nobody waits for the answer any more.
        """
        if self._mount.answers_inline(call):
            await self._mount.answer(call)
            return
        answering = asyncio.ensure_future(self._mount.answer(call))
        leaving = asyncio.ensure_future(_wait_until_gone(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ClientGone
            answering.result()
        finally:
            answering.cancel()
            leaving.cancel()


def _describe(error: RequestError) -> dict[str, str]:
    """Return the headers of an error's response."""
    seconds = retry_after(error)
    return {} if seconds is None else {"retry-after": str(seconds)}


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

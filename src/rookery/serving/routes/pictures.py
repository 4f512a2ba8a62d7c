"""`POST /predict` and `/predict/batch` of services that take pictures: forms and files instead of JSON."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.requests import Request

from rookery.errors import MalformedRequest
from rookery.pipeline.call import Call, CallKind, PictureCall
from rookery.serving.bodies import read_body
from rookery.serving.forms import choose_files, is_form_type, read_form
from rookery.serving.mount import Mount
from rookery.serving.routes.prediction import Predict
from rookery.serving.site import EXCHANGE, Exchange

LARGEST_QUERY = 2_000
"""Bytes of a query string that is looked at."""


class PredictPictures(Predict):
    """Answers predictions about pictures; what the files hold is left to the pipeline."""

    def __init__(self, mount: Mount, kind: CallKind, *, body_timeout: float) -> None:
        super().__init__(mount, kind, body_timeout=body_timeout)
        picture = mount.contract.schema.picture
        if picture is None:
            raise ValueError(f"{mount.name} takes no pictures")
        self._field = picture.name

    async def read_call(self, request: Request, take: Callable[[int], None]) -> Call:
        """Read the body, and the parameters beside it in the form or in the query string."""
        headers = request.scope["headers"]
        body = await read_body(
            headers,
            request.receive,
            limit=self._mount.contract.limits.body_bytes,
            seconds=self._body_timeout,
            is_readable=is_form_type,
            readable=f"Send multipart/form-data with the file as {self._field!r}, or the file as the body (image/*)",
            take=take,
        )
        content_type = next((value for name, value in headers if name == b"content-type"), b"")
        received = time.perf_counter()
        form = read_form(content_type, body, field_name=self._field)
        files = choose_files(form, field_name=self._field, is_batch=self._kind == "batch")
        texts = [*_read_query(request.scope["query_string"]), *form.texts]
        exchange: Exchange = request.scope[EXCHANGE]
        return PictureCall(self._kind, files, texts, received, client_request_id=exchange.client_request_id)


def _read_query(query: bytes) -> list[tuple[str, str]]:
    """Return the query string's parameters.

    Raises:
        MalformedRequest: it is none.
    """
    if not query:
        return []
    if len(query) > LARGEST_QUERY:
        raise MalformedRequest("the query string is too long", cure="Send parameters as ?name=value, or in the form")
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise MalformedRequest("the query string cannot be read", cure="Send parameters as ?name=value") from error

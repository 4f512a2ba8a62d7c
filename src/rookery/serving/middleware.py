"""The outermost layer of the application: ids, headers, counts and log lines, and no error that tells too much."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rookery.pipeline.ids import make_request_ids
from rookery.serving.bodies import ClientGone
from rookery.serving.http import API_HEADERS, sane_request_id
from rookery.serving.lane import INTERNAL_ERROR
from rookery.serving.responses import JsonResponse
from rookery.serving.routing import local_path
from rookery.serving.site import EXCHANGE, Exchange, Site

logger = logging.getLogger("rookery.serving")

PROBES = frozenset({"/livez", "/healthz", "/readyz"})
"""Asked for by an orchestrator every few seconds, by an address rather than a name."""
QUIET = PROBES | {"/health", "/metrics", "/metrics-prometheus"}
"""Paths whose successful answers are counted, but not worth a log line."""


class Envelope:
    """Gives every response its headers, counts and logs every request, and answers 500 to what nobody caught."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self.app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = self._begin(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message = {**message, "headers": _complete(list(message.get("headers", ())), exchange)}
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientGone:
            pass
        except Exception:
            logger.exception("request %s to %.200r failed", exchange.request_id, exchange.path)
            if exchange.status:
                raise
            await _answer_500(send_with_headers)
        finally:
            self._count(scope, exchange)

    def _begin(self, scope: Scope) -> Exchange:
        if not scope.get("root_path"):
            scope["root_path"] = self._site.settings.root_path
        path = local_path(scope)
        exchange = Exchange(path, self._site.find_mount(path))
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                exchange.client_request_id = sane_request_id(value)
        scope[EXCHANGE] = exchange
        return exchange

    def _count(self, scope: Scope, exchange: Exchange) -> None:
        """Count and log what the pipeline did not; a client that left without an answer is neither."""
        if exchange.is_counted or not exchange.status:
            return
        seconds = time.perf_counter() - exchange.started
        service = "" if exchange.mount is None else exchange.mount.name
        self._site.metrics.series(service, "").observe(exchange.status, seconds)
        log = self._site.log
        if log is None or (exchange.status < 400 and exchange.path.rpartition("/")[2] in _QUIET_ENDS):
            return
        if log.claim(1):
            log.log_request(
                service,
                status=exchange.status,
                response_time_ms=round(seconds * 1e3, 3),
                request_id=exchange.request_id,
                method=scope["method"],
                path=exchange.path,
            )


_QUIET_ENDS = frozenset(path[1:] for path in QUIET)


def _complete(headers: list[tuple[bytes, bytes]], exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """Add what every response carries; the route's own choice wins."""
    present = {name for name, _ in headers}
    headers += [header for header in API_HEADERS if header[0] not in present]
    if not exchange.request_id:
        (exchange.request_id,) = make_request_ids(1)
    headers.append((b"x-request-id", (exchange.client_request_id or exchange.request_id).encode("ascii")))
    version = exchange.shown_version
    if version is not None:
        headers.append((b"x-model-version", version.encode("ascii")))
    return headers


async def _answer_500(send: Send) -> None:
    length = str(len(INTERNAL_ERROR)).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": INTERNAL_ERROR})


class AllowedHosts:
    """Refuses requests for other hosts than those allowed (`*.example.com` allows all below it).

    An orchestrator's probes go by address and show nothing, so they are answered whatever host they name.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app = app
        self._names = frozenset(host.lower() for host in hosts if not host.startswith("*"))
        self._endings = tuple(host[1:].lower() for host in hosts if host.startswith("*."))
        self._allows_all = "*" in hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an allowed request on."""
        if scope["type"] != "http" or self._is_allowed(scope):
            await self.app(scope, receive, send)
        else:
            await JsonResponse({"detail": "this host is not served here"}, 400)(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        if self._allows_all or local_path(scope) in PROBES:
            return True
        value = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
        host = value if value in self._names else value.rpartition(":")[0] or value
        return value in self._names or host in self._names or (bool(self._endings) and host.endswith(self._endings))

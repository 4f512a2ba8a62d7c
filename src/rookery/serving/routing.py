"""`RouteTable`: exact paths, found by one look-up however many services there are."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from rookery.errors import ServeError
from rookery.serving.site import EXCHANGE, Exchange

Access = Literal["public", "predict", "read", "admin"]
"""Who may call a route: everybody, or holders of a key with that scope."""

Answer = Callable[[Request], Awaitable[Response]]

LONGEST_COMPARED_PATH = 64
"""Longer unknown paths get no suggestion: comparing costs time in proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """One route: where it is, who may call it, what answers it, and what is said of it in the documentation."""

    method: Literal["GET", "POST"]
    path: str
    access: Access
    answer: Answer
    summary: str = ""
    """Left out of the API's documentation when empty."""
    tag: str = "operation"
    body: Literal["single", "batch"] | None = None
    """Of a prediction: whether one row is asked about, or several."""
    success: type[msgspec.Struct] | str | None = None
    """The answer's shape or, for other than JSON, its media type."""
    errors: tuple[int, ...] = ()


class RouteTable(BaseRoute):
    """Routes of one method and exact path each, as one Starlette route.

    HEAD is answered wherever GET is. Other methods get 405 with `Allow`.
    """

    def __init__(self, routes: Iterable[RouteSpec]) -> None:
        self.routes: tuple[RouteSpec, ...] = tuple(routes)
        self._table: dict[str, dict[str, Answer]] = {}
        for route in self.routes:
            methods = self._table.setdefault(route.path, {})
            if route.method in methods:
                raise ServeError(
                    f"two routes answer {route.method} {route.path}",
                    cure="Give the service another name, or its prediction another path",
                )
            methods[route.method] = route.answer
            if route.method == "GET":
                methods["HEAD"] = route.answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether the request's path is in the table."""
        if scope["type"] == "http" and local_path(scope) in self._table:
            return Match.FULL, {}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path is in the table."""
        methods = self._table[local_path(scope)]
        answer = methods.get(scope["method"])
        if answer is None:
            allowed = ", ".join(sorted(methods))
            raise HTTPException(405, f"this path answers {allowed}", headers={"allow": allowed})
        exchange: Exchange = scope[EXCHANGE]
        mount = exchange.mount
        if mount is None:
            response = await answer(Request(scope, receive, send))
        else:
            mount.open_requests += 1
            try:
                response = await answer(Request(scope, receive, send))
            finally:
                mount.open_requests -= 1
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        """Refuse: these routes have no names."""
        raise NoMatchFound(name, path_params)

    def nearest(self, path: str) -> Sequence[str]:
        """Return up to three known paths that `path` may have been meant for."""
        if len(path) > LONGEST_COMPARED_PATH:
            return ()
        # With many services only those paths are compared that begin alike: the cost stays that of one service.
        head = path[: path.find("/", 1)] if "/" in path[1:] else ""
        known = [known for known in self._table if known.startswith(head)] if head else list(self._table)
        return difflib.get_close_matches(path, known[:60], n=3, cutoff=0.6)


def local_path(scope: Scope) -> str:
    """Return a request's path below wherever the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :] or "/"
    return path

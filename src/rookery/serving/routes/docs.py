"""`/docs`, `/redoc`, `/openapi.json`: the API's documentation, from this server alone.

Swagger UI and ReDoc come from the files of the package `fastapi-offline`, which is never imported: only its folder
is looked up. Every link is relative, so the pages work under any prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from rookery.serving.mount import Mount

PAGES = Path(__file__).parent.parent / "pages"

ASSETS = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png")
"""The files of `fastapi-offline` that are served."""
OWN_ASSETS = ("swagger-start.js",)

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; worker-src blob:; child-src blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""What the two pages may load: this server's own files and nothing else (ReDoc's search is a worker from a blob)."""


@cache
def _asset_folder() -> Path | None:
    spec = find_spec("fastapi_offline")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    return Path(places[0]) / "static" if places else None


class ShowPage:
    """`GET /docs` or `/redoc`."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _page(self) -> bytes:
        return (PAGES / self._name).read_bytes()

    async def __call__(self, _: Request) -> Response:
        """Answer with the page: half a kilobyte, for which a file response would load and start anyio's threads."""
        headers = {"content-security-policy": PAGE_POLICY}
        return Response(self._page, media_type="text/html; charset=utf-8", headers=headers)


class ShowAsset:
    """`GET /docs/assets/<name>`: a script, a style sheet or an icon of the pages."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, _: Request) -> Response:
        """Answer with the file, which browsers may keep for a day."""
        folder = PAGES if self._name in OWN_ASSETS else _asset_folder()
        if folder is None:
            raise HTTPException(404, "the documentation's scripts are not installed: install fastapi-offline")
        return FileResponse(folder / self._name, headers={"cache-control": "public, max-age=86400"})


class ShowOpenApi:
    """`GET /openapi.json`: the description is made by the first request, and again when a version is swapped."""

    def __init__(self, describe: Callable[[str], dict[str, Any]], mounts: Sequence[Mount]) -> None:
        self._describe = describe
        self._mounts = mounts
        self._key: tuple[str, ...] | None = None
        self._document = b""

    async def __call__(self, request: Request) -> Response:
        """Answer with the description, in which `servers` names the place that the request came by."""
        root = str(request.scope.get("root_path", "")).rstrip("/")
        key = (root, *(mount.version or "" for mount in self._mounts))
        if key != self._key:
            self._key, self._document = key, msgspec.json.encode(self._describe(root))
        return Response(self._document, media_type="application/json")

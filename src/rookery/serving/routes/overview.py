"""`/`: what is served here, and where to go next."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from rookery.serving.mount import Mount
from rookery.serving.responses import JsonResponse
from rookery.serving.site import Site


class Overview(msgspec.Struct):
    """A service in a few words; links are relative to the server."""

    name: str
    title: str
    version: str | None
    """The model version that serves by default."""
    status: str
    links: dict[str, str]


class ServerOverview(msgspec.Struct):
    """A server with several services."""

    name: str
    version: str
    """The version of Rookery."""
    status: str
    services: dict[str, Overview]
    links: dict[str, str]


@cache
def rookery_version() -> str:
    """Return the version of the installed package."""
    return version("rookery")


class ShowOverview:
    """`GET /` of one service, or of the whole server (`mount` None)."""

    def __init__(self, site: Site, mount: Mount | None) -> None:
        self._site = site
        self._mount = mount

    async def __call__(self, request: Request) -> Response:
        """Answer with names, states and links."""
        root = str(request.scope.get("root_path", "")).rstrip("/")
        if self._mount is not None:
            return JsonResponse(_describe(self._mount, root))
        services = {mount.name: _describe(mount, root) for mount in self._site.mounts}
        is_healthy = not self._site.missed()
        return JsonResponse(
            ServerOverview(
                name="rookery",
                version=rookery_version(),
                status="healthy" if is_healthy else "unhealthy",
                services=services,
                links={"health": f"{root}/health", "metrics": f"{root}/metrics", "docs": f"{root}/docs"},
            )
        )


def _describe(mount: Mount, root: str) -> Overview:
    base = root + mount.prefix
    links = {name: f"{base}/{path}" for name, path in _LINKS.items()}
    links["predict"] = base + mount.contract.paths[0]
    status = "healthy" if mount.endpoint.champion is not None else "unhealthy"
    return Overview(mount.name, mount.contract.title, mount.version, status, links)


_LINKS = {
    "predict": "predict",
    "predict_batch": "predict/batch",
    "info": "info",
    "health": "health",
    "metrics": "metrics",
    "docs": "docs",
    "openapi": "openapi.json",
}

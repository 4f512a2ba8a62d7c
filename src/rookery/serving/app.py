"""The application of one worker: the ASGI door.

It is a bare Starlette application, for FastAPI would cost every worker 12 MB and a quarter of a second at start.
`embed.py` puts the same surface into a FastAPI application for people who add routes of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from rookery.serving.middleware import AllowedHosts, Envelope
from rookery.serving.mount import Mount
from rookery.serving.openapi import describe_api
from rookery.serving.responses import JsonResponse
from rookery.serving.routes.overview import rookery_version
from rookery.serving.routes.table import all_routes, service_routes
from rookery.serving.routing import RouteTable
from rookery.serving.site import EXCHANGE, Exchange, Site
from rookery.serving.state import ServingState
from rookery.settings import Settings
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.logs import PredictionLog

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


class Surface:
    """What a worker shows to ASGI: its routes, their description, its errors and its outer layers.

    Raises:
        ServeError: two routes have the same path.
    """

    def __init__(self, site: Site, *, describe_more: Callable[[], dict[str, Any]] | None = None) -> None:
        self.site = site
        self.table = RouteTable(all_routes(site, self.describe))
        self._describe_more = describe_more
        """Gives the OpenAPI document of routes that stand beside ours."""

    @property
    def title(self) -> str:
        """The service's title, or Rookery's where there are several."""
        return "Rookery" if self.site.is_joint else self.site.mounts[0].contract.title

    def describe(self, mount: Mount | None, root: str) -> dict[str, Any]:
        """Return the OpenAPI document of one service, or of the whole server, as reached below a root path."""
        site = self.site
        if mount is None:
            document = describe_api(
                self.table.routes,
                site.mounts,
                title=self.title,
                description="Several services on one server.",
                version=rookery_version(),
                server=root,
            )
        else:
            contract = mount.contract
            document = describe_api(
                service_routes(site, mount, self.describe),
                [mount],
                title=contract.title,
                description=contract.description,
                version=contract.definition_version,
                server=root,
            )
        if self._describe_more is not None and (mount is None or not mount.prefix):
            more = self._describe_more()
            document["paths"] |= more["paths"]
            document["components"]["schemas"] |= more.get("components", {}).get("schemas", {})
        return document

    async def answer_http_error(self, request: Request, error: Exception) -> Response:
        """Answer what the router refused; an unknown path gets the nearest known ones."""
        if not isinstance(error, HTTPException):
            raise error
        detail = error.detail
        if error.status_code == 404 and detail == "Not Found":
            exchange: Exchange = request.scope[EXCHANGE]
            near = self.table.nearest(exchange.path)
            detail = "there is nothing at this path" + (f"; did you mean {' or '.join(near)}?" if near else "")
        return JsonResponse({"detail": detail}, error.status_code, dict(error.headers or {}))

    def middleware(self) -> list[Middleware]:
        """Return the layers around the routes, outermost first."""
        settings = self.site.settings
        layers = [Middleware(Envelope, site=self.site)]
        if settings.cors_origins:
            from starlette.middleware.cors import CORSMiddleware  # only where it is configured

            layers.append(
                Middleware(
                    CORSMiddleware,
                    allow_origins=settings.cors_origins,
                    allow_methods=("GET", "POST"),
                    allow_headers=("content-type", "x-request-id", "authorization"),
                    expose_headers=("x-request-id", "x-model-version", "retry-after"),
                )
            )
        if settings.allowed_hosts:
            layers.append(Middleware(AllowedHosts, hosts=settings.allowed_hosts))
        return layers


def build_app(
    mounts: Sequence[Mount],
    *,
    settings: Settings,
    metrics: WorkerMetrics,
    state: ServingState | None = None,
    metrics_folder: Path | None = None,
    log: PredictionLog | None = None,
    lifespan: Lifespan | None = None,
) -> Starlette:
    """Return the application that serves `mounts`: one with an empty prefix, or several with `/<service>` each.

    `metrics_folder` is where all workers leave their counts. Without a `lifespan` of the caller's own, the
    application is ready as soon as it is started.

    Raises:
        ServeError: two routes have the same path.
    """
    site = Site(
        mounts=tuple(mounts),
        settings=settings,
        state=state or ServingState(),
        metrics=metrics,
        metrics_folder=metrics_folder,
        log=log,
    )
    surface = Surface(site)
    app = Starlette(
        routes=[surface.table],
        middleware=surface.middleware(),
        exception_handlers={HTTPException: surface.answer_http_error},
        lifespan=lifespan or serve_at_once(site.state),
    )
    app.router.redirect_slashes = False
    return app


def serve_at_once(state: ServingState) -> Lifespan:
    """Return the life of an application that has nothing to watch."""

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        state.begin_serving()
        yield
        state.begin_draining()

    return lifespan

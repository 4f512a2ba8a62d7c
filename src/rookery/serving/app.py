"""The application of one worker: the ASGI door, for other servers, test clients and other people's applications."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
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

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """FastAPI with Rookery's route table; routes that a user adds stand beside it and in the same description."""

    def __init__(self, site: Site, *, lifespan: Lifespan | None = None) -> None:
        self.site = site
        super().__init__(
            title=_title(site),
            version=rookery_version(),
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,
            root_path=site.settings.root_path,
            middleware=_middleware(site),
            exception_handlers={HTTPException: self._answer_http_error},
            lifespan=lifespan,
        )
        self.table = RouteTable(all_routes(site, self.describe))
        self.router.routes.append(self.table)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description of everything served."""
        return self.describe(None if self.site.is_joint else self.site.mounts[0], self.root_path)

    def describe(self, mount: Mount | None, root: str) -> dict[str, Any]:
        """Return the description of one service, or of the whole server with the user's own routes."""
        site = self.site
        if mount is not None and mount.prefix:
            routes = service_routes(site, mount, self.describe)
            return describe_api(
                routes, [mount], title=mount.contract.title, description=mount.contract.description,
                version=mount.contract.definition_version, server=root,
            )  # fmt: skip
        document = describe_api(
            self.table.routes,
            site.mounts,
            title=self.title,
            description=site.mounts[0].contract.description if mount is not None else "Several services on one server.",
            version=self.version if mount is None else mount.contract.definition_version,
            server=root,
        )
        own = get_openapi(title=self.title, version=self.version, routes=self.routes)
        document["paths"] |= own["paths"]
        document["components"]["schemas"] |= own.get("components", {}).get("schemas", {})
        return document

    async def _answer_http_error(self, request: Request, error: Exception) -> Response:
        """Answer what the router refused; an unknown path gets the nearest known ones."""
        assert isinstance(error, HTTPException)
        detail = error.detail
        if error.status_code == 404 and detail == "Not Found":
            exchange: Exchange = request.scope[EXCHANGE]
            near = self.table.nearest(exchange.path)
            detail = "there is nothing at this path" + (f"; did you mean {' or '.join(near)}?" if near else "")
        return JsonResponse({"detail": detail}, error.status_code, dict(error.headers or {}))


def _title(site: Site) -> str:
    return "Rookery" if site.is_joint or not site.mounts else site.mounts[0].contract.title


def _middleware(site: Site) -> list[Middleware]:
    settings = site.settings
    layers = [Middleware(Envelope, site=site)]
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
) -> Application:
    """Return the application that serves `mounts`: one with an empty prefix, or several with `/<service>` each.

    `metrics_folder` is where all workers leave their counts. Without a `lifespan` and a `state` of the caller's own,
    the application is ready from its start on.

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
    return Application(site, lifespan=lifespan or _serve_at_once(site.state))


def _serve_at_once(state: ServingState) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        state.begin_serving()
        yield
        state.begin_draining()

    return lifespan

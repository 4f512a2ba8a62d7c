"""The table of all routes: what each answers, and who may call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rookery.serving.mount import Mount
from rookery.serving.routes.debug import ShowDebug
from rookery.serving.routes.docs import ASSETS, OWN_ASSETS, ShowAsset, ShowOpenApi, ShowPage
from rookery.serving.routes.health import Health, ServerHealth, ShowHealth, ShowReadiness, Status, show_liveness
from rookery.serving.routes.info import Info, ShowInfo
from rookery.serving.routes.metrics import Memory, ShowMetrics, show_memory
from rookery.serving.routes.overview import Overview, ServerOverview, ShowOverview
from rookery.serving.routes.pictures import PredictPictures
from rookery.serving.routes.prediction import Predict
from rookery.serving.routing import RouteSpec
from rookery.serving.site import Site

Describe = Callable[[Mount | None, str], dict[str, Any]]
"""Makes the OpenAPI document of one service, or of the whole server, as reached below a root path."""

PREDICTION_ERRORS = (400, 408, 413, 415, 422, 500, 503, 504)


def all_routes(site: Site, describe: Describe) -> list[RouteSpec]:
    """Return every route of a worker: one service's at `/`, or several services' and the server's own."""
    routes = [route for mount in site.mounts for route in service_routes(site, mount, describe)]
    return [*common_routes(site, None, describe), *routes] if site.is_joint else routes


def service_routes(site: Site, mount: Mount, describe: Describe) -> list[RouteSpec]:
    """Return the routes of one service, below its prefix."""
    routes = [*prediction_routes(site, mount), *common_routes(site, mount, describe)]
    placed = [replace(route, path=mount.prefix + route.path) for route in routes]
    if mount.prefix:
        overview = next(route for route in placed if route.path == mount.prefix + "/")
        placed.append(replace(overview, path=mount.prefix, summary=""))
    return placed


def prediction_routes(site: Site, mount: Mount) -> Iterator[RouteSpec]:
    """Yield what only a service has: predictions, and what it is."""
    timeout = site.settings.body_timeout
    answer = PredictPictures if mount.takes_pictures else Predict
    single, batch = (answer(mount, kind, body_timeout=timeout) for kind in ("single", "batch"))
    info = ShowInfo(site, mount)
    predicting = RouteSpec(
        method="POST", path="", access="predict", answer=single, tag="prediction", errors=PREDICTION_ERRORS
    )
    for path in mount.contract.paths:
        yield replace(predicting, path=path, body="single", summary="Answer one prediction")
    yield replace(
        predicting, path="/predict/batch", answer=batch, body="batch", summary="Answer several predictions at once"
    )
    about = RouteSpec(method="GET", path="/info", access="read", answer=info, success=Info, tag="service")
    yield replace(about, summary="Say what the service is, takes and comes from")
    yield replace(about, path="/model/info", summary="The same as /info")


def common_routes(site: Site, mount: Mount | None, describe: Describe) -> list[RouteSpec]:
    """Return what every service has, and a server with several of them as well (`mount` None)."""
    mounts = site.mounts if mount is None else [mount]
    openapi = ShowOpenApi(lambda root: describe(mount, root), mounts)
    overview, health = (ServerOverview, ServerHealth) if mount is None else (Overview, Health)
    metrics, debug = ShowMetrics(site), ShowDebug(site, mount)
    ready, how = ShowReadiness(site, mount), ShowHealth(site, mount)
    text = "text/plain"

    def get(path: str, access: Any, answer: Any, summary: str = "", success: Any = None, **more: Any) -> RouteSpec:
        return RouteSpec(
            method="GET", path=path, access=access, answer=answer, summary=summary, success=success, **more
        )

    return [
        get("/", "public", ShowOverview(site, mount), "Say what is served here", overview),
        get("/health", "public", how, "Say whether predictions can be answered", health, errors=(503,)),
        get("/healthz", "public", show_liveness, "Say that the worker lives", Status),
        get("/livez", "public", show_liveness, "Say that the worker lives", Status),
        get("/readyz", "public", ready, "Say whether new requests are welcome", Status, errors=(503,)),
        get("/metrics", "read", metrics, "Counts of all workers, for Prometheus", text),
        get("/metrics-prometheus", "read", metrics, "The same as /metrics", text),
        get("/metrics/memory", "read", show_memory, "Memory of the machine and of this worker", Memory),
        get("/debug", "admin", debug),
        get("/docs", "public", ShowPage("swagger.html")),
        get("/redoc", "public", ShowPage("redoc.html")),
        get("/openapi.json", "public", openapi),
        *(get(f"/docs/assets/{name}", "public", ShowAsset(name)) for name in (*ASSETS, *OWN_ASSETS)),
    ]

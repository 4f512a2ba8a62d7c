"""`/health`, `/healthz`, `/livez`, `/readyz`: whether the worker lives, and whether it can answer."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from rookery.serving.mount import Mount
from rookery.serving.responses import JsonResponse
from rookery.serving.site import Site

RETRY = {"retry-after": "1"}


class Status(msgspec.Struct):
    """The answer of a probe."""

    status: str
    reason: str | UnsetType = UNSET


class Health(msgspec.Struct, kw_only=True):
    """How a service is."""

    status: str
    """`healthy`, or `unhealthy` with a reason."""
    service: str
    model_loaded: bool
    model_version: str | None
    model_name: str | None
    contract: str
    reason: str | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET
    """What is wrong although the service answers, such as a newer version that was refused."""


class ServerHealth(msgspec.Struct):
    """How a server with several services is."""

    status: str
    model_loaded: bool
    services: dict[str, Health]
    reason: str | UnsetType = UNSET


def describe_health(mount: Mount) -> Health:
    """Return how a service is: healthy as long as some version answers."""
    endpoint = mount.endpoint
    champion = endpoint.champion
    health = Health(
        status="healthy",
        service=mount.name,
        model_loaded=champion is not None,
        model_version=mount.version,
        model_name=None if champion is None else champion.model_name,
        contract=mount.contract.kind,
    )
    if champion is None:
        health.status, health.reason = "unhealthy", endpoint.reason
    elif endpoint.reason:
        health.warnings = [endpoint.reason]
    return health


def why_not_ready(site: Site, mount: Mount | None) -> str:
    """Return why new requests had better go elsewhere; empty when they are welcome."""
    if not site.state.is_serving:
        return site.state.stage.value
    alone = [mount] if mount is not None and mount.endpoint.champion is None else []
    missing = site.missed() if mount is None else alone
    return "; ".join(f"{each.name}: {each.endpoint.reason}" for each in missing)


class ShowHealth:
    """`GET /health` of one service, or of all (`mount` None)."""

    def __init__(self, site: Site, mount: Mount | None) -> None:
        self._site = site
        self._mount = mount

    async def __call__(self, _: Request) -> Response:
        """Answer 200 if everything asked about has a model, 503 otherwise."""
        if self._mount is not None:
            health = describe_health(self._mount)
            return JsonResponse(health, 200) if health.model_loaded else JsonResponse(health, 503, RETRY)
        services = {mount.name: describe_health(mount) for mount in self._site.mounts}
        sick = [mount.name for mount in self._site.missed()]
        if sick:
            return JsonResponse(ServerHealth("unhealthy", False, services, f"no model: {', '.join(sick)}"), 503, RETRY)
        return JsonResponse(ServerHealth("healthy", True, services))


class ShowReadiness:
    """`GET /readyz`: 503 while loading, draining or without a model."""

    def __init__(self, site: Site, mount: Mount | None) -> None:
        self._site = site
        self._mount = mount

    async def __call__(self, _: Request) -> Response:
        """Answer whether new requests are welcome."""
        reason = why_not_ready(self._site, self._mount)
        return JsonResponse(Status("unavailable", reason), 503, RETRY) if reason else JsonResponse(Status("ok"))


async def show_liveness(_: Request) -> Response:
    """`GET /livez`, `/healthz`: whoever answers lives."""
    return JsonResponse(Status("ok"))

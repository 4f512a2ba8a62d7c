"""Rookery inside other people's applications: a FastAPI application to run by any server, extend or mount."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from rookery.serving.app import Lifespan, Surface
from rookery.serving.assemble import assemble
from rookery.serving.mount import Mount
from rookery.serving.routes.overview import rookery_version
from rookery.serving.site import Site
from rookery.serving.state import ServingState
from rookery.settings import Settings, load_settings
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.logs import PredictionLog


class Application(FastAPI):
    """FastAPI with Rookery's routes; those that a user adds stand beside them, in the same documentation."""

    def __init__(self, site: Site, *, lifespan: Lifespan) -> None:
        self.surface = Surface(site, describe_more=self._describe_own)
        super().__init__(
            title=self.surface.title,
            version=rookery_version(),
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,
            middleware=self.surface.middleware(),
            exception_handlers={HTTPException: self.surface.answer_http_error},
            lifespan=lifespan,
        )
        self.router.routes.append(self.surface.table)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document of everything served, the user's own routes included."""
        site = self.surface.site
        return self.surface.describe(None if site.is_joint else site.mounts[0], site.settings.root_path)

    def _describe_own(self) -> dict[str, Any]:
        return get_openapi(title=self.title, version=self.version, routes=self.routes)


def create_app(
    *, package: Path | None = None, services: Sequence[str] = (), settings: Settings | None = None
) -> Application:
    """Return an application for a package or for services, its versions loaded.

    Mounted into an application that does not pass lifespan events on, it serves what it loaded and does not follow
    the registry.

    Raises:
        ServeError, DefinitionError: see `assemble`.
        SettingError: an environment variable has a value that is not allowed.
    """
    chosen = settings or load_settings(package=package)
    metrics = WorkerMetrics(f"app-{os.getpid()}")
    assembly = assemble(chosen, services=services, metrics=metrics, threads=chosen.threads, build=_build)
    assembly.state.begin_serving()
    assert isinstance(assembly.app, Application)
    return assembly.app


def _build(
    mounts: Sequence[Mount],
    *,
    settings: Settings,
    metrics: WorkerMetrics,
    state: ServingState,
    metrics_folder: Path | None,
    log: PredictionLog | None,
    lifespan: Lifespan,
) -> Application:
    site = Site(
        mounts=tuple(mounts), settings=settings, state=state, metrics=metrics, metrics_folder=metrics_folder, log=log
    )
    return Application(site, lifespan=lifespan)

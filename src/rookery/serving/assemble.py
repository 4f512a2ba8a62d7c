"""Putting a worker's serving side together: contracts, mounts, versions, application.

The supervisor's workers call `assemble`; `embed.create_app` is the same for other people's applications.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette

from rookery.errors import DefinitionError, PackageError, ServeError
from rookery.fields.pictures.libraries import FORM_READERS, INSTALL_IMAGES, missing_libraries
from rookery.package.function import FunctionCode, function_code
from rookery.package.manifest import read_manifest
from rookery.package.opener import Opening
from rookery.pipeline.cache.store import SharedStore
from rookery.pipeline.cache.watch import watch_stores
from rookery.pipeline.endpoint import Endpoint
from rookery.registry.traffic import read_traffic_file, traffic_path
from rookery.service.contract import Contract, contract_of
from rookery.service.discovery import find_services, load_service
from rookery.serving.app import Lifespan, build_app
from rookery.serving.lane import LaneRoute
from rookery.serving.loader import generic_contract, with_deadline
from rookery.serving.mount import Mount, lane_routes
from rookery.serving.state import ServingState
from rookery.serving.watcher import PackageSource, TrafficSource, VersionSource, VersionWatcher
from rookery.settings import Settings
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.logs import PredictionLog
from rookery.telemetry.metrics import IN_FLIGHT

logger = logging.getLogger("rookery.serving")

HEAVY_THREADS = 8
"""So many runs of heavy models at most, of all services together, are under way at the same time."""
INFERENCE_NICENESS = 10
"""How far inference threads step back behind the event loops of this machine (nice, 0 to 19)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Assembly:
    """One worker's serving side, its versions loaded; `app` is what it shows to ASGI."""

    app: Starlette
    mounts: Sequence[Mount]
    state: ServingState
    watcher: VersionWatcher

    @property
    def lane_routes(self) -> Mapping[bytes, LaneRoute]:
        """The request targets whose plain predictions the lane may take."""
        return lane_routes(self.mounts)


class Build(Protocol):
    """Makes an application; see `app.build_app`."""

    def __call__(
        self,
        mounts: Sequence[Mount],
        *,
        settings: Settings,
        metrics: WorkerMetrics,
        state: ServingState,
        metrics_folder: Path | None,
        log: PredictionLog | None,
        lifespan: Lifespan,
    ) -> Starlette:
        """Return the application that serves `mounts`."""


def assemble(
    settings: Settings,
    *,
    services: Sequence[str] = (),
    optional: Sequence[str] = (),
    metrics: WorkerMetrics,
    metrics_folder: Path | None = None,
    log: PredictionLog | None = None,
    threads: int = 1,
    build: Build = build_app,
) -> Assembly:
    """Build everything that answers requests, and load the versions that serve now.

    With `settings.package` that package is served alone. Otherwise `services` are served (none named: all): one at
    `/`, several under `/<service>` each. A service without a usable version is mounted all the same: it answers 503
    with the reason until the watcher finds a version. The server is well without those in `optional`; one of them
    whose code is at fault is left out.

    Raises:
        ServeError: a name is no service, the package has no readable manifest, or two routes have the same path.
        DefinitionError: a service's own code is at fault.
        RegistryError: the traffic file of a service without code is unreadable.
    """
    served = _choose_services(settings, services, optional)
    runs = max(1, (os.cpu_count() or 1) // (settings.workers * threads))
    executor = ThreadPoolExecutor(
        min(HEAVY_THREADS, runs * len(served)), thread_name_prefix="infer", initializer=lower_priority
    )
    mounts: list[Mount] = []
    sources: list[VersionSource] = []
    stores: list[SharedStore] = []
    for contract, code in served:
        prefix = f"/{contract.name}" if len(served) > 1 else ""
        shared = open_store(settings, contract)
        stores += [] if shared is None else [shared]
        mount = Mount(
            Endpoint(contract), metrics=metrics, executor=executor, log=log, prefix=prefix, runs=runs, shared=shared
        )
        metrics.watch_gauge(IN_FLIGHT, mount.name, read=_reader_of(mount))
        mounts.append(mount)
        sources.append(
            _make_source(settings, mount, metrics, Opening(threads=threads, device=settings.device, code=code))
        )
    watch_stores(metrics, stores)
    watcher = VersionWatcher(sources, metrics)
    state = ServingState()
    app = build(
        mounts,
        settings=settings,
        metrics=metrics,
        state=state,
        metrics_folder=metrics_folder,
        log=log,
        lifespan=_watch(watcher, state, executor, stores),
    )
    watcher.load_all()
    return Assembly(app=app, mounts=mounts, state=state, watcher=watcher)


def lower_priority() -> None:
    """Give this thread less of the processor than others: pictures can wait, the event loop answers everybody."""
    if sys.platform != "linux":
        return  # elsewhere niceness is the process's, and a thread's number another process's
    with contextlib.suppress(OSError):
        thread = threading.get_native_id()
        # From where the process stands: it may have been started with a lower priority itself.
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + INFERENCE_NICENESS))


def open_store(settings: Settings, contract: Contract) -> SharedStore | None:
    """Return the Redis that a service shares its answers through; None where none is configured, or nothing cached.

    Raises:
        SettingError: the Redis client is not installed, or does not understand the URL.
    """
    if settings.redis_url is None or not contract.cache.enabled:
        return None
    from rookery.pipeline.cache.redis_store import RedisStore  # its driver is loaded where it is used

    return RedisStore(settings.redis_url, ttl_seconds=contract.cache.ttl_seconds, timeout=settings.redis_timeout)


def _choose_services(
    settings: Settings, services: Sequence[str], optional: Sequence[str]
) -> list[tuple[Contract, FunctionCode | None]]:
    """Return what is served: each service's contract and, where it answers itself, its code.

    Raises:
        ServeError, DefinitionError: one of them, which is not optional, cannot be served here.
    """
    if settings.package is not None:
        try:
            contract = generic_contract(read_manifest(settings.package), settings)
        except PackageError as error:
            raise ServeError(f"{settings.package} cannot be served: {error.message}", cure=error.cure) from error
        _require_libraries(contract)
        return [(contract, None)]
    known = find_services(settings.services_folder)
    served: list[tuple[Contract, FunctionCode | None]] = []
    for name in services or sorted(known):
        try:
            contract, code = _load(settings, name) if name in known else (_contract_of_champion(settings, name), None)
            _require_libraries(contract)
        except (DefinitionError, ServeError) as error:
            if name not in optional:
                raise
            logger.warning("%s is not served: %s", name, error)
            continue
        served.append((replace(contract, is_optional=name in optional), code))
    if not served:
        raise ServeError(
            f"there is no service in {settings.services_folder}", cure="`rookery new NAME` writes one; or use --package"
        )
    return served


def _require_libraries(contract: Contract) -> None:
    """Raise ServeError where pictures cannot be read: better no service than one that answers 500."""
    missing = "" if contract.schema.picture is None else missing_libraries(FORM_READERS)
    if missing:
        raise ServeError(f"{contract.name} takes pictures, and {missing} here", cure=INSTALL_IMAGES)


def _load(settings: Settings, name: str) -> tuple[Contract, FunctionCode | None]:
    service = load_service(settings.services_folder, name)
    code = None if service.function is None else function_code(service)
    return with_deadline(contract_of(service), settings), code


def _contract_of_champion(settings: Settings, name: str) -> Contract:
    """Return the generic contract of a service whose Python is not here, from its champion's package."""
    path = traffic_path(settings.home, name)
    file = read_traffic_file(path) if path.is_file() else None
    champion = None if file is None else file.traffic.champion
    if file is None or champion is None or champion not in file.packages:
        raise ServeError(
            f"there is no service {name!r} in {settings.services_folder}, and no version of it is registered",
            cure=f"`rookery new {name}` writes one",
        )
    try:
        return generic_contract(read_manifest(settings.home / file.packages[champion].path), settings)
    except PackageError as error:
        raise ServeError(f"{name}: version {champion} cannot be served: {error.message}", cure=error.cure) from error


def _make_source(settings: Settings, mount: Mount, metrics: WorkerMetrics, opening: Opening) -> VersionSource:
    if settings.package is not None:
        return PackageSource(mount, settings.package, metrics=metrics, opening=opening)
    return TrafficSource(mount, home=settings.home, metrics=metrics, opening=opening)


def _reader_of(mount: Mount) -> Callable[[], float]:
    return lambda: mount.open_requests


def _watch(
    watcher: VersionWatcher, state: ServingState, executor: ThreadPoolExecutor, stores: Sequence[SharedStore]
) -> Lifespan:
    """Return the life of the application: it follows its versions while it serves."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        watching = asyncio.create_task(watcher.run())
        state.begin_serving()
        try:
            yield
        finally:
            state.begin_draining()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            for store in stores:
                await store.close()
            executor.shutdown(wait=False, cancel_futures=True)

    return lifespan

"""A worker's whole life: orders, models, serving, draining."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib.util
import socket
import sys
from pathlib import Path

import uvicorn

from rookery.errors import RookeryError
from rookery.serving.assemble import Assembly, assemble
from rookery.serving.http import API_HEADER_LINES
from rookery.settings import Settings
from rookery.supervisor.heartbeat import Reporter, beat, receive_orders, write_quietly
from rookery.supervisor.messages import Orders, Report
from rookery.telemetry.accumulator import WorkerMetrics
from rookery.telemetry.logs import Log, PredictionLog, open_sinks, route_standard_logging
from rookery.telemetry.metrics import LOG_LINES_DROPPED

EXIT_REFUSED = 3
"""The worker cannot start, for a reason that it has reported."""
BACKLOG = 2048


def live(lifeline: int) -> None:
    """Serve as the orders on the lifeline say, until SIGTERM or the supervisor's end.

    Expects that the garbage collector is off, and turns it on when everything that stays is there.
    """
    received = receive_orders(lifeline)
    orders, reporter = received.orders, Reporter(received.reports)
    settings = orders.settings
    metrics = WorkerMetrics(orders.source, worker=str(orders.slot))
    sinks = open_sinks(settings.log_file, megabytes=settings.log_file_mb, count=settings.log_file_count)
    log = Log(sinks, level=settings.log_level)
    route_standard_logging(log, level=settings.log_level)
    requests = PredictionLog(log, per_second=settings.log_sample_per_second)
    try:
        assembly = assemble(
            settings,
            services=orders.services,
            optional=orders.optional,
            metrics=metrics,
            metrics_folder=Path(orders.metrics_folder),
            log=requests,
            threads=orders.threads,
        )
    except RookeryError as error:
        reporter.send(Report(kind="failed", message=str(error)))
        sys.exit(EXIT_REFUSED)
    # What was loaded lives as long as the process; no collection needs to look at it again, nor stop requests for it.
    gc.freeze()
    gc.enable()
    server = WorkerServer(make_config(settings, assembly), assembly, reporter, settings)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(server, received.listener, orders, reporter, metrics, requests))


class WorkerServer(uvicorn.Server):
    """uvicorn's server, which says when it begins to answer and when it stops to."""

    def __init__(self, config: uvicorn.Config, assembly: Assembly, reporter: Reporter, settings: Settings) -> None:
        super().__init__(config)
        self._assembly = assembly
        self._reporter = reporter
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then report what is served."""
        await super().startup(sockets)
        reason = why_no_lane(self._settings)
        services = {
            mount.name: {"version": mount.version, "reason": mount.endpoint.reason} for mount in self._assembly.mounts
        }
        self._reporter.send(Report(kind="ready", lane=not reason, lane_reason=reason, services=services))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell balancers first, then drain as uvicorn does."""
        self._assembly.state.begin_draining()
        await super().shutdown(sockets)


def why_no_lane(settings: Settings) -> str:
    """Return why predictions do not go by the lane; empty if they do."""
    if not settings.lane:
        return "by setting"
    return "" if importlib.util.find_spec("httptools") else "httptools is not installed"


def make_config(settings: Settings, assembly: Assembly) -> uvicorn.Config:
    """Return how uvicorn serves an application here: our protocol, our logs, no header that it need not send.

    With the lane off the protocol's deadlines and limits hold as ever; it just takes no request for itself.
    """
    http: object = "h11"
    if importlib.util.find_spec("httptools"):
        from rookery.serving.lane import Deadlines, Lane
        from rookery.serving.protocol import LaneProtocol

        hosts = {name for host in settings.allowed_hosts for name in (host, f"{host}:{settings.port}")}
        lane = Lane(
            assembly.lane_routes if not why_no_lane(settings) else {},
            deadlines=Deadlines(header=settings.header_timeout, body=settings.body_timeout, idle=settings.idle_timeout),
            allowed_hosts=frozenset(host.encode("latin-1") for host in hosts),
            header_lines=API_HEADER_LINES,
        )
        http = functools.partial(LaneProtocol, lane)
    return uvicorn.Config(
        assembly.app,
        http=http,  # type: ignore[arg-type] # uvicorn calls it; that it is a class is only its annotation
        loop="uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # It would trust whatever runs on this machine; addresses are resolved once, for both doors.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=max(1, round(settings.idle_timeout)),
        timeout_graceful_shutdown=max(1, round(settings.graceful_timeout)),
    )


async def _serve(
    server: WorkerServer,
    listener: socket.socket,
    orders: Orders,
    reporter: Reporter,
    metrics: WorkerMetrics,
    requests: PredictionLog,
) -> None:
    """Serve until the server has drained; leave the last counts behind."""
    counted = 0

    def count_dropped() -> None:
        nonlocal counted
        metrics.count(LOG_LINES_DROPPED, by=requests.dropped - counted)
        counted = requests.dropped

    beating = asyncio.create_task(beat(reporter, metrics, orders, before=count_dropped))
    try:
        await server.serve(sockets=[listener])
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
        count_dropped()
        write_quietly(Path(orders.metrics_folder), metrics.snapshot())

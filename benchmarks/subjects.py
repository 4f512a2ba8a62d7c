"""The servers that are compared, each in the words of the tables."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.servers import Request, Subject, running, send_once, uvicorn_command

LANE = "Rookery (lane)"
ASGI_DOOR = "Rookery (ASGI door)"
CONSTANT = "constant ASGI app, plain uvicorn"
FLOOR = "lane answering a constant (HTTP floor)"
FASTAPI_ONNX = "FastAPI + uvicorn, same ONNX graph"
FASTAPI_XGBOOST = "FastAPI + uvicorn, XGBoost + pandas"

ROOKERY = str(Path(sys.executable).with_name("rookery"))

PENGUIN = {
    "bill_length_mm": 39.1,
    "bill_depth_mm": 18.7,
    "flipper_length_mm": 181,
    "body_mass_g": 3750,
    "year": 2007,
    "sex": "male",
    "island": "Torgersen",
}
PREDICT = Request(path="/predict", body=json.dumps(PENGUIN, separators=(",", ":")).encode())


def rookery_package(package: Path, *, name: str = LANE, workers: int = 1, lane: bool = True) -> Subject:
    """Return our server over one package directory."""
    return Subject(
        name=name,
        command=[
            *(ROOKERY, "serve", "--package", str(package)),
            *("--host", "127.0.0.1", "--port", "{port}", "--workers", str(workers)),
        ],
        environment={"ROOKERY_LANE": "on" if lane else "off", "ROOKERY_HOME": str(package.parent / "home")},
        request=PREDICT,
    )


def rookery_home(
    home: Path, *services: str, name: str = LANE, workers: int = 1, lane: bool = True, request: Request = PREDICT
) -> Subject:
    """Return our server over a trained home, with the services' own contracts (no service named: all)."""
    return Subject(
        name=name,
        command=[
            *(ROOKERY, "serve", *services),
            *("--host", "127.0.0.1", "--port", "{port}", "--workers", str(workers)),
        ],
        environment={"ROOKERY_LANE": "on" if lane else "off", "ROOKERY_HOME": str(home)},
        request=request,
    )


def compared_subjects(*, package: Path, home: Path | None = None) -> list[Subject]:
    """Return every server of the throughput table, ours first.

    Args:
        package: a penguins package; its graph is the FastAPI baseline's too.
        home: where that package is the champion of `penguins`; None serves the package by itself.
    """
    ours = [
        rookery_home(home, "penguins", name=name, lane=lane) if home else rookery_package(package, name=name, lane=lane)
        for name, lane in ((LANE, True), (ASGI_DOOR, False))
    ]
    with running(ours[0]) as server:
        length = {"BENCH_BODY_BYTES": str(len(send_once(server.port, PREDICT)[1]))}
    graph = {"BENCH_GRAPH": str(package / "model.onnx")}
    return [
        *ours,
        Subject(
            name=FLOOR,
            command=[sys.executable, "-m", "benchmarks.apps.lane_constant", "{port}"],
            environment=length,
            request=PREDICT,
        ),
        _plain(CONSTANT, "benchmarks.apps.constant:app", length),
        _plain(FASTAPI_ONNX, "benchmarks.apps.fastapi_onnx:app", graph),
        _plain(FASTAPI_XGBOOST, "benchmarks.apps.fastapi_xgboost:app", {}),
    ]


def _plain(name: str, application: str, environment: dict[str, str]) -> Subject:
    return Subject(name=name, command=uvicorn_command(application), environment=environment, request=PREDICT)

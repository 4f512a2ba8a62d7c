"""Applications over small real packages, and short ways to ask them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import helper

from rookery.package.digests import sha256_hex
from rookery.registry.traffic import Traffic, TrafficFile, package_ref, traffic_path, write_traffic_file
from rookery.serving.assemble import Assembly, assemble
from rookery.settings import Settings
from rookery.telemetry.accumulator import WorkerMetrics
from tests.package.builders import WIDTH, build_package, make_manifest, model_of, tensor

PENGUIN = {"mass_g": 3750.0, "year": 2008, "island": "Dream", "wild": True}
"""A valid input of the packages that `tests.package.builders` makes."""

SERVICE_CODE = """
from typing import Literal

from pydantic import BaseModel, Field

from rookery.service.definition import Service
from rookery.service.task import Classification


class Penguin(BaseModel):
    mass_g: float = Field(ge=1000, le=9000, json_schema_extra={"unit": "g"}, examples=[3750.0])
    year: int = Field(ge=2000, le=2030, examples=[2008])
    island: Literal["Biscoe", "Dream", "Torgersen"] = Field(examples=["Dream"])
    wild: bool = Field(examples=[True])


class Species(BaseModel):
    species: str
    confidence: float


service = Service(
    name="NAME",
    input=Penguin,
    output=Species,
    task=Classification("Adelie", "Chinstrap", "Gentoo"),
    respond=lambda prediction: Species(species=prediction.label, confidence=prediction.confidence),
)
"""


def strict_json(text: str | bytes) -> Any:
    """Read JSON that holds neither NaN nor infinities."""

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


class Client:
    """Asks an application through ASGI, without a port."""

    def __init__(self, app: Any, **transport: Any) -> None:
        self.app = app
        self._transport = transport

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        (response,) = self.ask_together([(method, path, request)])
        return response

    def ask_together(self, requests: Sequence[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        async def send() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=self.app, **self._transport)
            async with httpx.AsyncClient(transport=transport, base_url="http://rookery.test") as client:
                asked = [client.request(method, path, **request) for method, path, request in requests]
                return list(await asyncio.gather(*asked))

        return asyncio.run(send())

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self.ask("GET", path, **request)

    def predict(self, body: Any = PENGUIN, *, path: str = "/predict", **headers: str) -> httpx.Response:
        """Post a body: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self.ask("POST", path, content=content, headers=named)


def serving(settings: Settings, *services: str, **more: Any) -> tuple[Client, Assembly]:
    """Assemble a worker's serving side and let it serve."""
    assembly = assemble(settings, services=services, metrics=WorkerMetrics("test", worker="0"), **more)
    assembly.state.begin_serving()
    return Client(assembly.app), assembly


@pytest.fixture(scope="session")
def penguin_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classification; copy it before you alter it."""
    directory = tmp_path_factory.mktemp("serving") / "package"
    build_package(directory)
    return directory


@pytest.fixture(scope="session")
def heavy_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classification whose single run takes about two milliseconds."""
    size = 1500
    nodes = [helper.make_node("MatMul", ["columns", "first"], ["hidden0"])]
    nodes += [helper.make_node("MatMul", [f"hidden{i}", "square"], [f"hidden{i + 1}"]) for i in range(4)]
    nodes += [
        helper.make_node("MatMul", ["hidden4", "last"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    weights = [
        tensor("first", np.full((WIDTH, size), 1e-4)),
        tensor("square", np.eye(size)),
        tensor("last", np.full((size, 3), [1e-4, 2e-4, 3e-4])),
    ]
    model: onnx.ModelProto = model_of(nodes, output="probabilities", output_shape=["N", 3], initializers=weights)
    directory = tmp_path_factory.mktemp("heavy") / "package"
    build_package(directory, model=model, manifest=make_manifest(service="heavy"))
    return directory


@pytest.fixture
def client(penguin_package: Path) -> Client:
    """One package served at `/`."""
    return serving(Settings(package=penguin_package))[0]


@dataclass(frozen=True)
class Workshop:
    """A home and a services folder, into which tests put services, packages and traffic."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, services_folder=self.folder / "services")

    def write_service(self, name: str, code: str = SERVICE_CODE) -> None:
        file = self.folder / "services" / name / "service.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code.replace("NAME", name))

    def add_package(self, service: str, **parts: Any) -> str:
        """Put a package into the store, unless it is there already, and return its manifest's digest."""
        staging = self.folder / f"staging-{len(list(self.folder.iterdir()))}"
        build_package(staging, manifest=make_manifest(service=service, **parts.pop("manifest", {})), **parts)
        digest = sha256_hex((staging / "manifest.json").read_bytes())
        (self.home / "packages").mkdir(parents=True, exist_ok=True)
        if not (self.home / "packages" / digest).exists():
            staging.rename(self.home / "packages" / digest)
        return digest

    def set_traffic(self, service: str, packages: Mapping[str, str], champion: str = "1", **more: Any) -> None:
        """Write a traffic file: digests by version, and who is champion."""
        weights = more.pop("weights", {})
        file = TrafficFile(
            service=service,
            traffic=Traffic(service=service, champion=champion, weights=weights),
            aliases={"champion": champion},
            packages={version: package_ref(digest) for version, digest in packages.items()},
            **more,
        )
        write_traffic_file(traffic_path(self.home, service), file)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def executor() -> Any:
    with ThreadPoolExecutor(1) as threads:
        yield threads

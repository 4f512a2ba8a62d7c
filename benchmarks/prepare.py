"""What the benchmarks measure: the penguins service, trained once with the estimator that every server answers with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.model import SEED, make_estimator
from rookery.package.opener import open_package, read_verified
from rookery.package.writer import write_package
from rookery.registry.base import Registry
from rookery.registry.connect import connect
from rookery.registry.promotion import promote
from rookery.registry.sync import sync
from rookery.service.definition import Service
from rookery.service.discovery import load_service
from rookery.service.policies import Gate
from rookery.settings import Settings
from rookery.training.run import train
from rookery.training.tracker import NullTracker


def prepare_home(services: Path, folder: Path) -> tuple[Path, Path]:
    """Train and register the penguins once; returns the home, and the champion's package directory."""
    home = folder / "home"
    registry = _connect(home)
    if not registry.aliases("penguins").get("champion"):
        service = _with_benchmark_estimator(load_service(services, "penguins"))
        train(service, registry=registry, tracker=NullTracker(), home=home)
    sync(registry, home)
    package = folder / "package"
    if not package.exists():
        registry.download("penguins", registry.aliases("penguins")["champion"], package)
    return home, package


def prepare_many(package: Path, folder: Path, count: int) -> tuple[Path, Path]:
    """Register `count` services that are the penguins by other names; returns their services folder and home."""
    home, services = folder / f"home-{count}", folder / f"services-{count}"
    registry = _connect(home)
    for number in range(count):
        name = f"p{number:02d}"
        if registry.aliases(name).get("champion"):
            continue
        _copy_package(package, folder / "copies" / name, name)
        promote(registry, name, registry.register(folder / "copies" / name).version)
    sync(registry, home)
    for number in range(count):
        _write_service(services / f"p{number:02d}", f"p{number:02d}")
    return services, home


def graph_bytes(package: Path) -> int:
    """Return the size of a package's graph in bytes."""
    return (package / "model.onnx").stat().st_size


def _connect(home: Path) -> Registry:
    home.mkdir(parents=True, exist_ok=True)
    return connect(Settings(home=home))


def _with_benchmark_estimator(service: Service) -> Service:
    return replace(
        service,
        candidates={"xgboost": make_estimator},
        gate=Gate(),
        seed=SEED,
        cross_validation=0,
        cross_validation_repeats=1,
    )


def _copy_package(package: Path, target: Path, service: str) -> None:
    """Write the same package once more under another service's name."""
    if target.exists():
        return
    verified, opened = read_verified(package), open_package(package)
    write_package(
        target,
        manifest=opened.manifest.model_copy(update={"service": service}),
        model=verified.contents["model.onnx"],
        profile=opened.profile,
        golden=opened.golden,
        metrics=json.loads(verified.contents["metrics.json"]),
        card=verified.contents["MODEL_CARD.md"].decode(),
    )


def _write_service(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "service.py").write_text(
        f'''"""The penguins by the name of {name}."""

from dataclasses import replace

from services.penguins.service import service as penguins

service = replace(penguins, name="{name}")
'''
    )

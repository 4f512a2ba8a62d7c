"""The machine a run was made on, and the versions it measured."""

from __future__ import annotations

import importlib.metadata
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

LIBRARIES = (
    "rookery",
    "uvicorn",
    "uvloop",
    "httptools",
    "fastapi",
    "starlette",
    "pydantic",
    "onnxruntime",
    "numpy",
    "xgboost-cpu",
    "pandas",
)


def describe_machine(*, seed: int, generator: str) -> list[str]:
    """Return lines for the head of a report: processor, memory, system, versions, date and seed."""
    memory = psutil.virtual_memory().total / 2**30
    python = f"{platform.python_implementation()} {platform.python_version()}"
    versions = ", ".join(f"{name} {version}" for name in LIBRARIES if (version := _version(name)))
    return [
        f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; seed {seed}; load generator: {generator}",
        f"Machine: {_processor()}, {psutil.cpu_count()} logical cores, {memory:.0f} GiB memory",
        f"System: {platform.system()} {platform.release()} {platform.machine()}, {python}",
        f"Versions: {versions}",
    ]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

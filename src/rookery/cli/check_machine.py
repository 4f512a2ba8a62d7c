"""What `rookery doctor` says of the machine, the libraries and the settings."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from rookery.cli.findings import Finding, wrong
from rookery.errors import ServeError
from rookery.settings import Settings
from rookery.supervisor.binding import check_binding, open_socket, port_owner

if TYPE_CHECKING:
    from packaging.requirements import Requirement

LOCK = "constraints.txt"
"""The lock file of a checkout."""
LITTLE_MEMORY_MB = 500
LITTLE_DISK_MB = 1_000
OLD_SQLITE = (3, 35, 0)


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Look at Python, cores, memory, disk and SQLite."""
    yield Finding("machine", "Python", "ok", f"{platform.python_version()} at {sys.executable}")
    cores = os.cpu_count() or 1
    if settings.workers > cores:
        cure = f"Set ROOKERY_WORKERS to {cores} or less"
        yield Finding("machine", "cores", "warning", f"{settings.workers} workers share {cores} cores", cure)
    else:
        yield Finding("machine", "cores", "ok", f"{cores}, for {settings.workers} workers")
    yield _check_memory(settings)
    yield _check_disk(settings.home)
    sqlite = tuple(int(part) for part in sqlite3.sqlite_version.split("."))
    if sqlite < OLD_SQLITE:
        yield Finding("machine", "SQLite", "wrong", sqlite3.sqlite_version, "Use a Python with SQLite 3.35 or later")
    else:
        yield Finding("machine", "SQLite", "ok", sqlite3.sqlite_version)


def _check_memory(settings: Settings) -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    free, total = memory.available / 1e6, memory.total / 1e6
    detail = f"{free:,.0f} of {total:,.0f} MB free"
    if free < LITTLE_MEMORY_MB:
        return Finding("machine", "memory", "warning", detail, "Each worker needs about 100 MB, training more")
    if settings.max_memory_mb is not None and settings.max_memory_mb * settings.workers > total:
        limit = f"; {settings.workers} workers may take {settings.max_memory_mb:g} MB each"
        return Finding("machine", "memory", "warning", detail + limit, "Lower ROOKERY_MAX_MEMORY_MB or ROOKERY_WORKERS")
    return Finding("machine", "memory", "ok", detail)


def _check_disk(home: Path) -> Finding:
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free / 1e6
    detail = f"{free:,.0f} MB free at {place}"
    if free < LITTLE_DISK_MB:
        return Finding("machine", "disk", "warning", detail, "Make room: packages and the registry are kept there")
    return Finding("machine", "disk", "ok", detail)


def check_libraries() -> Iterator[Finding]:
    """Hold the installed libraries against what this release of Rookery asks for, extra by extra."""
    from packaging.requirements import Requirement

    groups: dict[str, list[Requirement]] = {}
    for line in requires("rookery") or ():
        requirement = Requirement(line)
        extra = re.search(r"""extra == ["']([\w-]+)["']""", str(requirement.marker or ""))
        groups.setdefault(extra[1] if extra else "", []).append(requirement)
    for name in ("", "train", "images", "postgres", "redis"):
        if name in groups:
            yield _check_group(name, groups[name])
    if Path(LOCK).is_file():
        yield _check_lock(Path(LOCK))


def _check_group(extra: str, requirements: list[Requirement]) -> Finding:
    name = f"extra {extra!r}" if extra else "serving"
    missing, unfit = [], []
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            unfit.append(f"{requirement.name} {installed} (wanted {requirement.specifier})")
    cure = f"pip install 'rookery{f'[{extra}]' if extra else ''}'"
    if unfit:
        return Finding("libraries", name, "wrong", f"do not fit: {', '.join(unfit)}", cure)
    if missing and (not extra or len(missing) < len(requirements)):
        return Finding("libraries", name, "warning" if extra else "wrong", f"missing: {', '.join(missing)}", cure)
    detail = "not installed, and not needed to serve" if missing else f"{len(requirements)} libraries fit"
    return Finding("libraries", name, "ok", detail)


def _check_lock(lock: Path) -> Finding:
    """Hold the installed libraries against the versions that the checkout was tested with."""
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    differing = []
    for name, wanted in pinned.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        if installed != wanted:
            differing.append(f"{name} {installed} instead of {wanted}")
    if differing:
        shown = ", ".join(differing[:8]) + (f" and {len(differing) - 8} more" if len(differing) > 8 else "")
        return Finding("libraries", lock.name, "warning", shown, f"pip install --constraint {lock.name} …")
    return Finding("libraries", lock.name, "ok", f"installed libraries are the {len(pinned)} that were tested")


def check_server_settings(settings: Settings) -> Iterator[Finding]:
    """Look at where a server would listen."""
    try:
        check_binding(settings.host, insecure=settings.insecure)
        yield Finding("settings", "host", "ok", settings.host)
    except ServeError as error:
        yield wrong("settings", "host", error)
    try:
        open_socket(settings.host, settings.port).close()
        yield Finding("settings", "port", "ok", f"{settings.port} is free")
    except ServeError as error:
        owner = port_owner(settings.port)
        if "rookery" in owner:
            yield Finding("settings", "port", "ok", f"{settings.port} is served by a Rookery server, {owner}")
        else:
            yield wrong("settings", "port", error)

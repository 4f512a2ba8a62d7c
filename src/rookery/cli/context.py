"""What commands share: the settings, the registry and the services they are about."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from rookery.errors import DefinitionError
from rookery.settings import Settings, load_settings

if TYPE_CHECKING:
    from rookery.registry.base import Registry
    from rookery.registry.report import SyncReport


def open_registry(**overrides: Any) -> tuple[Settings, Registry]:
    """Return the settings and the registry that they name."""
    settings = load_settings(**overrides)
    from rookery.registry.connect import connect

    return settings, connect(settings)


def bring_to_servers(settings: Settings, registry: Registry, service: str) -> SyncReport:
    """Let the servers of this home folder see what changed in the registry; returns what was done."""
    from rookery.registry.sync import sync

    return sync(registry, settings.home, [service])


def choose_services(settings: Settings, names: Sequence[str]) -> list[str]:
    """Return the services that a command is about: those named, or all in the services folder.

    Raises:
        DefinitionError: there is none, or one that is named does not exist; the nearest name is suggested.
    """
    from rookery.service.discovery import find_services

    known = list(find_services(settings.services_folder))
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            cure = f"Did you mean {close[0]}?" if close else f"Make it with `rookery new {name}`"
            raise DefinitionError(f"there is no service {name!r} in {settings.services_folder}", cure=cure)
    if not known:
        raise DefinitionError(
            f"there are no services in {settings.services_folder}",
            cure="Make one with `rookery new NAME`, or name the folder with ROOKERY_SERVICES_FOLDER",
        )
    return list(dict.fromkeys(names)) or known

"""`promote` and `rollback`: who is champion.

Each is a few writes, ordered so that a crash between any two leaves a state that means either "done" or "not done":
the alias decides, and a policy or history that does not fit it is read as out of date.
"""

from __future__ import annotations

from rookery.errors import RegistryError
from rookery.registry.base import CHALLENGER, CHAMPION, SHADOW, ModelVersion, Registry
from rookery.registry.history import add_champion, step_back
from rookery.registry.traffic import Traffic


def promote(registry: Registry, service: str, version: str) -> ModelVersion:
    """Make a version (by number or alias) the champion with all traffic; the old champion becomes its past.

    Raises:
        VersionNotFound: there is no such complete version.
    """
    chosen = registry.version(service, version).version
    history = registry.champions(service)
    registry.set_alias(service, CHAMPION, chosen)
    registry.set_champions(service, add_champion(history, chosen))
    _give_all_traffic(registry, service, chosen)
    return registry.version(service, chosen)


def rollback(registry: Registry, service: str) -> ModelVersion:
    """Return to the champion before the present one, with all traffic; once more goes one further back.

    Raises:
        RegistryError: there was no earlier champion, or none that is still registered.
    """
    available = {known.version for known in registry.versions(service)}
    history = step_back(registry.champions(service), available)
    if not history:
        raise RegistryError(
            f"{service} has no earlier champion to return to", cure=f"Choose one: `rookery promote {service} VERSION`"
        )
    # History first: with the alias still ahead of it, the rollback simply has not happened.
    registry.set_champions(service, history)
    registry.set_alias(service, CHAMPION, history[0])
    _give_all_traffic(registry, service, history[0])
    return registry.version(service, history[0])


def _give_all_traffic(registry: Registry, service: str, champion: str) -> None:
    """Send everything to the champion, keep sticky key and other shadows, and end its time as challenger or shadow."""
    for alias, target in registry.aliases(service).items():
        if alias in (CHALLENGER, SHADOW) and target == champion:
            registry.delete_alias(service, alias)
    before = registry.traffic(service)
    shadow = tuple(version for version in before.shadow if version != champion)
    registry.set_traffic(service, Traffic(service=service, champion=champion, sticky=before.sticky, shadow=shadow))

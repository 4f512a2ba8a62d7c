"""`plan_traffic`: what the workers are to serve, given what the registry wants and what can be had."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from rookery.registry.base import CHALLENGER, CHAMPION
from rookery.registry.traffic import PackageRef, Traffic, TrafficFile


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the registry says of one service."""

    service: str
    traffic: Traffic
    aliases: Mapping[str, str]
    champions: Sequence[str]
    """History, newest first."""

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version whose package is needed, the most important first."""
        challenger = [self.aliases[CHALLENGER]] if CHALLENGER in self.aliases else []
        return tuple(dict.fromkeys((*self.traffic.answering, *self.traffic.shadow, *challenger)))


def plan_traffic(
    wish: Wish,
    *,
    packages: Mapping[str, PackageRef],
    failures: Mapping[str, str],
    kept: Sequence[str],
    previous: TrafficFile | None,
    synced_at: str,
) -> TrafficFile:
    """Return the traffic file to write.

    `packages` holds the wanted versions that were verified, `failures` the reasons for all others. Without a
    champion that can be had, what was served before goes on being served, and the file says why. A canary or
    shadow that cannot be had leaves its share to the champion.
    """
    reasons = dict(failures)
    champion = wish.traffic.champion
    if champion is None:
        reasons[CHAMPION] = f"the registry names no champion. Run `rookery promote {wish.service} VERSION`"
    fresh = TrafficFile(
        service=wish.service,
        traffic=Traffic(service=wish.service),
        aliases=wish.aliases,
        failures=reasons,
        kept=tuple(kept),
        synced_at=synced_at,
    )
    if champion in packages:
        return replace(fresh, traffic=restrict_traffic(wish.traffic, packages), packages=packages)
    if previous is not None and previous.traffic.champion is not None:
        return replace(fresh, traffic=previous.traffic, packages=previous.packages)
    return fresh


def restrict_traffic(traffic: Traffic, available: Collection[str]) -> Traffic:
    """Return the policy without the versions that are not available; their share goes to the champion."""
    if traffic.champion is None:
        return traffic
    weights = {version: percent for version, percent in traffic.weights.items() if version in available}
    missing = 100 - sum(weights.values())
    weights[traffic.champion] = weights.get(traffic.champion, 0) + missing
    return replace(traffic, weights=weights, shadow=tuple(v for v in traffic.shadow if v in available))

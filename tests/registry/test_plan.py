"""What is served, given what the registry wants and what can be had."""

from __future__ import annotations

from collections.abc import Mapping

from rookery.registry.plan import Wish, plan_traffic, restrict_traffic
from rookery.registry.traffic import Traffic, TrafficFile, package_ref

REFS = {version: package_ref(version.zfill(2) * 32) for version in ("1", "2", "3", "4")}


def wish(traffic: Traffic, aliases: Mapping[str, str]) -> Wish:
    return Wish(service="iris", traffic=traffic, aliases=aliases, champions=[])


def plan(wished: Wish, *, have: str, previous: TrafficFile | None = None, **failures: str) -> TrafficFile:
    named = {name.removeprefix("v"): reason for name, reason in failures.items()}
    packages = {version: REFS[version] for version in have}
    return plan_traffic(wished, packages=packages, failures=named, kept=["x"], previous=previous, synced_at="now")


SERVED = TrafficFile(
    service="iris", traffic=Traffic(service="iris", champion="1"), packages={"1": REFS["1"]}, aliases={"champion": "1"}
)
CANARY = Traffic(service="iris", champion="2", weights={"2": 80, "3": 20}, shadow=("4",))


def test_the_packages_of_champion_canary_shadow_and_challenger_are_needed_in_this_order() -> None:
    wished = wish(CANARY, {"champion": "2", "challenger": "1", "other": "9"})
    assert wished.versions == ("2", "3", "4", "1")


def test_what_can_be_had_is_served_as_wished() -> None:
    content = plan(wish(CANARY, {"champion": "2"}), have="234", previous=SERVED)
    assert content.traffic == CANARY
    assert set(content.packages) == {"2", "3", "4"}
    assert (content.failures, content.kept, content.synced_at) == ({}, ("x",), "now")


def test_a_canary_that_cannot_be_had_leaves_its_share_to_the_champion() -> None:
    content = plan(wish(CANARY, {"champion": "2"}), have="24", previous=SERVED, v3="broken")
    assert content.traffic.weights == {"2": 100}
    assert content.traffic.shadow == ("4",)
    assert content.failures == {"3": "broken"}


def test_a_champion_that_cannot_be_had_keeps_what_is_served_and_says_why() -> None:
    content = plan(wish(CANARY, {"champion": "2"}), have="3", previous=SERVED, v2="model.onnx: was altered")
    assert content.traffic == SERVED.traffic
    assert content.packages == SERVED.packages
    assert content.failures == {"2": "model.onnx: was altered"}
    assert content.aliases == {"champion": "2"}


def test_a_bad_champion_with_nothing_before_it_serves_nothing_and_says_why() -> None:
    content = plan(wish(CANARY, {"champion": "2"}), have="34", v2="model.onnx: was altered")
    assert content.traffic == Traffic(service="iris")
    assert content.packages == {}
    assert content.failures == {"2": "model.onnx: was altered"}


def test_a_champion_alias_that_vanished_keeps_what_is_served_and_says_why() -> None:
    content = plan(wish(Traffic(service="iris"), {}), have="", previous=SERVED)
    assert content.traffic == SERVED.traffic
    assert "names no champion" in content.failures["champion"]


def test_a_service_that_was_never_promoted_serves_nothing_and_says_why() -> None:
    content = plan(wish(Traffic(service="iris"), {}), have="")
    assert content.traffic == Traffic(service="iris")
    assert "rookery promote iris" in content.failures["champion"]


def test_a_full_canary_that_cannot_be_had_gives_everything_back() -> None:
    full = Traffic(service="iris", champion="2", weights={"3": 100})
    assert restrict_traffic(full, {"2"}).weights == {"2": 100}
    assert restrict_traffic(full, {"2", "3"}).weights == {"2": 0, "3": 100}
    assert restrict_traffic(Traffic(service="iris"), set()) == Traffic(service="iris")

"""Traffic policies, what is agreed from aliases and stored policies, and the file that workers read."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from rookery.errors import RegistryError
from rookery.registry.traffic import (
    Traffic,
    TrafficFile,
    agree_traffic,
    package_ref,
    read_traffic_file,
    traffic_from_json,
    traffic_path,
    write_traffic_file,
)

DIGEST = "ab" * 32


def test_a_champion_without_weights_has_all_traffic() -> None:
    traffic = Traffic(service="iris", champion="3")
    assert traffic.weights == {"3": 100}
    assert traffic.answering == ("3",)


def test_the_champion_is_first_among_those_that_answer_and_weightless_versions_do_not_answer() -> None:
    traffic = Traffic(service="iris", champion="3", weights={"1": 0, "4": 10, "3": 90})
    assert traffic.answering == ("3", "4")


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"3": 90}, "sum to 90"),
        ({"3": 110, "4": -10}, "has a weight of"),
        ({"3": 99.5, "4": 0.5}, "has a weight of"),
        ({"3": True, "4": 99}, "has a weight of True"),
    ],
)
def test_weights_that_are_no_percentages_are_refused(weights: dict[str, int], words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        Traffic(service="iris", champion="3", weights=weights)


def test_traffic_without_a_champion_carries_nothing() -> None:
    assert Traffic(service="iris").answering == ()
    with pytest.raises(RegistryError, match="without a champion"):
        Traffic(service="iris", weights={"3": 100})


def test_a_champion_cannot_be_its_own_shadow() -> None:
    with pytest.raises(RegistryError, match="champion and shadow"):
        Traffic(service="iris", champion="3", shadow=("3",))


def test_a_policy_survives_json() -> None:
    traffic = Traffic(service="iris", champion="3", weights={"3": 95, "4": 5}, sticky="user", shadow=("5",))
    assert traffic_from_json("iris", json.loads(json.dumps(traffic.to_json()))) == traffic


@pytest.mark.parametrize("document", [{}, {"champion": "3"}, {"champion": "3", "weights": [1]}, {"weights": {}}])
def test_an_unreadable_policy_is_named(document: dict[str, object]) -> None:
    with pytest.raises(RegistryError, match="unreadable"):
        traffic_from_json("iris", document)


def stored(**policy: object) -> str:
    return json.dumps({"champion": "3", "weights": {"3": 90, "4": 10}, "sticky": "user", "shadow": ["5"], **policy})


def test_a_policy_stored_for_the_present_champion_holds() -> None:
    traffic = agree_traffic("iris", champion="3", shadow=None, stored=stored())
    assert (traffic.weights, traffic.sticky, traffic.shadow) == ({"3": 90, "4": 10}, "user", ("5",))


def test_a_policy_stored_for_another_champion_is_out_of_date() -> None:
    """Moving the alias alone (on MLflow's page, or by a promotion that crashed right after) gives it all traffic."""
    traffic = agree_traffic("iris", champion="6", shadow=None, stored=stored())
    assert (traffic.champion, traffic.weights, traffic.shadow) == ("6", {"6": 100}, ())
    assert traffic.sticky == "user"


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"champion": "3", "weights": {"3": 7}}'])
def test_without_a_readable_policy_the_champion_has_all(text: str | None) -> None:
    assert agree_traffic("iris", champion="3", shadow=None, stored=text).weights == {"3": 100}


def test_the_shadow_alias_joins_the_shadows_unless_it_answers() -> None:
    assert agree_traffic("iris", champion="3", shadow="9", stored=stored()).shadow == ("5", "9")
    assert agree_traffic("iris", champion="3", shadow="4", stored=stored()).shadow == ("5",)
    assert agree_traffic("iris", champion="3", shadow="3", stored=None).shadow == ()


def test_without_a_champion_alias_nothing_answers() -> None:
    assert agree_traffic("iris", champion=None, shadow="4", stored=stored()) == Traffic(service="iris")


@pytest.fixture
def content() -> TrafficFile:
    return TrafficFile(
        service="iris",
        traffic=Traffic(service="iris", champion="3", weights={"3": 90, "4": 10}, sticky="user", shadow=("5",)),
        aliases={"champion": "3", "challenger": "4"},
        packages={"3": package_ref(DIGEST), "4": package_ref("cd" * 32)},
        failures={"5": "model.onnx: was altered: ünïcode"},
        kept=("ef" * 32,),
        synced_at="2026-01-02T03:04:05+00:00",
    )


def test_a_traffic_file_reads_back_as_it_was_written(tmp_path: Path, content: TrafficFile) -> None:
    path = traffic_path(tmp_path, "iris")
    write_traffic_file(path, content)
    assert read_traffic_file(path) == content
    assert json.loads(path.read_text("utf-8"))["revision"] == content.revision
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_revision_changes_with_what_is_served_or_shown_and_not_with_time(content: TrafficFile) -> None:
    assert replace(content, synced_at="later", kept=()).revision == content.revision
    changes = [
        replace(content, traffic=Traffic(service="iris", champion="3")),
        replace(content, packages={"3": package_ref("00" * 32)}),
        replace(content, failures={}),
        replace(content, aliases={}),
    ]
    assert len({change.revision for change in changes} | {content.revision}) == 5


def test_there_is_no_traffic_file_before_the_first_synchronisation(tmp_path: Path) -> None:
    assert read_traffic_file(traffic_path(tmp_path, "iris")) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace(f"packages/{DIGEST}", "packages/../../etc"),
        lambda text: text.replace(f"packages/{DIGEST}", "packages/" + "11" * 32),
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"4": 10', '"4": 20'),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_by_name(tmp_path: Path, content: TrafficFile, damage: object) -> None:
    path = traffic_path(tmp_path, "iris")
    write_traffic_file(path, content)
    assert callable(damage)
    damaged = damage(path.read_text("utf-8"))
    assert damaged != path.read_text("utf-8")
    path.write_text(damaged, "utf-8")
    with pytest.raises(RegistryError, match=r"iris\.json is no traffic file"):
        read_traffic_file(path)


def test_a_reader_never_sees_half_a_file(tmp_path: Path, content: TrafficFile) -> None:
    path = traffic_path(tmp_path, "iris")
    write_traffic_file(path, content)
    longer = replace(content, failures={"5": "x" * 100_000})
    done = threading.Event()

    def write() -> None:
        for turn in range(60):
            write_traffic_file(path, longer if turn % 2 else content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        found = read_traffic_file(path)
        assert found is not None
        seen.add(found.revision)
    writer.join()
    assert seen <= {content.revision, longer.revision}
    assert [entry.name for entry in path.parent.iterdir()] == ["iris.json"]


def test_a_disk_that_refuses_leaves_the_old_file(tmp_path: Path, content: TrafficFile) -> None:
    """A folder in the file's place refuses even the superuser."""
    path = traffic_path(tmp_path, "iris")
    path.mkdir(parents=True)
    (path / "occupied").touch()
    with pytest.raises(RegistryError, match="cannot be written"):
        write_traffic_file(path, content)
    assert [entry.name for entry in path.parent.iterdir()] == ["iris.json"]
    with pytest.raises(RegistryError, match="cannot be read"):
        read_traffic_file(path)

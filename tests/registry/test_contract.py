"""What every registry does: in memory, embedded in SQLite, and behind a real MLflow server's URL."""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rookery.errors import DigestMismatch, PackageError, RegistryError, VersionNotFound
from rookery.registry.archive import export_version, import_version
from rookery.registry.base import Registry
from rookery.registry.facts import prove_package
from rookery.registry.memory import MemoryRegistry
from rookery.registry.promotion import promote, rollback
from rookery.registry.traffic import Traffic
from tests.registry.conftest import MakePackage


def test_a_service_that_was_never_registered_has_nothing(registry: Registry, service: str) -> None:
    assert service not in registry.services()
    assert registry.versions(service) == []
    assert registry.aliases(service) == {}
    assert registry.champions(service) == []
    assert registry.traffic(service) == Traffic(service=service)
    with pytest.raises(VersionNotFound, match=f"{service} has no version 1.*rookery train"):
        registry.version(service, "1")
    with pytest.raises(VersionNotFound, match="no alias 'champion'"):
        registry.version(service, "champion")
    with pytest.raises(VersionNotFound):
        registry.set_champions(service, ["1"])


def test_a_registered_package_is_described_as_it_is(
    registry: Registry, service: str, make_package: MakePackage
) -> None:
    package = make_package(candidate="forest", synthetic=True)
    before = datetime.now(UTC)
    registered = registry.register(package)
    facts = prove_package(package)
    assert (registered.service, registered.version) == (service, "1")
    assert registered.content_digest == facts.content_digest
    assert registered.manifest_sha256 == facts.manifest_sha256
    assert (registered.model_name, registered.candidate) == (f"{service}-forest", "forest")
    assert registered.metrics == {"accuracy": 0.97, "f1_macro": 0.96}
    assert registered.synthetic
    assert registered.aliases == ()
    assert abs((registered.created_at - before).total_seconds()) < 60
    assert registry.version(service, "1") == registered
    assert registry.versions(service) == [registered]
    assert service in registry.services()
    assert registered.to_json()["created_at"] == registered.created_at.isoformat()


def test_every_registration_makes_a_new_number_and_the_newest_is_first(
    registry: Registry, service: str, make_package: MakePackage
) -> None:
    package = make_package()
    numbers = [registry.register(package).version for _ in range(11)]
    assert numbers == [str(number) for number in range(1, 12)]
    versions = registry.versions(service)
    assert [known.version for known in versions] == numbers[::-1]
    assert len({known.content_digest for known in versions}) == 1


def test_a_package_that_does_not_open_is_not_registered(
    registry: Registry, service: str, make_package: MakePackage
) -> None:
    package = make_package()
    model = package / "model.onnx"
    model.chmod(0o644)
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    with pytest.raises(DigestMismatch, match=r"model\.onnx"):
        registry.register(package)
    assert registry.versions(service) == []


def test_a_download_is_the_package_that_was_registered(
    registry: Registry, service: str, make_package: MakePackage, tmp_path: Path
) -> None:
    registry.register(make_package(shift=0.1))
    package = make_package(shift=0.2)
    registry.register(package)
    folder = registry.download(service, "2", tmp_path / "deep" / "copy")
    assert folder == tmp_path / "deep" / "copy"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        file.name: file.read_bytes() for file in package.iterdir()
    }
    assert [entry.name for entry in folder.parent.iterdir()] == ["copy"]


def test_a_download_overwrites_nothing(
    registry: Registry, service: str, make_package: MakePackage, tmp_path: Path
) -> None:
    registry.register(make_package())
    (tmp_path / "mine").mkdir()
    with pytest.raises(RegistryError, match="is there already"):
        registry.download(service, "1", tmp_path / "mine")
    with pytest.raises(VersionNotFound, match="It has 1"):
        registry.download(service, "2", tmp_path / "other")


def test_a_registered_version_does_not_change_with_the_folder_it_came_from(
    registry: Registry, service: str, make_package: MakePackage, tmp_path: Path
) -> None:
    package = make_package()
    registered = registry.register(package)
    shutil.rmtree(package)
    registry.register(make_package(shift=0.5))
    assert prove_package(registry.download(service, "1", tmp_path / "copy")).content_digest == registered.content_digest


def test_aliases_point_to_versions_and_may_be_moved_and_removed(
    registry: Registry, service: str, make_package: MakePackage
) -> None:
    for shift in (0.1, 0.2):
        registry.register(make_package(shift=shift))
    registry.set_alias(service, "champion", "1")
    registry.set_alias(service, "challenger", "2")
    registry.set_alias(service, "champion", "2")
    assert registry.aliases(service) == {"champion": "2", "challenger": "2"}
    assert registry.version(service, "champion").version == "2"
    assert registry.version(service, "2").aliases == ("challenger", "champion")
    assert [known.aliases for known in registry.versions(service)] == [("challenger", "champion"), ()]
    registry.delete_alias(service, "challenger")
    registry.delete_alias(service, "challenger")
    assert registry.aliases(service) == {"champion": "2"}
    with pytest.raises(VersionNotFound, match=r"no alias 'challenger'.*champion \(version 2\)"):
        registry.version(service, "challenger")


def test_an_alias_cannot_point_to_what_is_not_there(
    registry: Registry, service: str, make_package: MakePackage
) -> None:
    registry.register(make_package())
    with pytest.raises(VersionNotFound, match="no version 7"):
        registry.set_alias(service, "champion", "7")
    assert registry.aliases(service) == {}


@pytest.mark.parametrize("alias", ["", "Champion", "v3", "latest", "a b", "../x", "3"])
def test_a_text_that_is_no_alias_is_refused(registry: Registry, service: str, alias: str) -> None:
    with pytest.raises(RegistryError, match="is no alias"):
        registry.set_alias(service, alias, "1")


@pytest.mark.parametrize("name", ["", "../iris", "Iris", "iris' or name!='", "a/b", "x" * 64])
def test_a_text_that_is_no_service_is_refused(registry: Registry, name: str) -> None:
    for ask in (registry.versions, registry.aliases, registry.traffic, registry.champions):
        with pytest.raises(RegistryError, match="no service's name"):
            ask(name)


def test_a_traffic_policy_is_kept_until_another_champion_comes(
    registry: Registry, service: str, make_package: MakePackage
) -> None:
    for shift in (0.1, 0.2, 0.3):
        registry.register(make_package(shift=shift))
    promote(registry, service, "1")
    policy = Traffic(service=service, champion="1", weights={"1": 90, "2": 10}, sticky="length", shadow=("3",))
    registry.set_traffic(service, policy)
    assert registry.traffic(service) == policy
    registry.set_alias(service, "champion", "2")
    assert registry.traffic(service) == Traffic(service=service, champion="2", sticky="length")


def test_a_policy_that_does_not_fit_is_not_stored(registry: Registry, service: str, make_package: MakePackage) -> None:
    registry.register(make_package())
    with pytest.raises(RegistryError, match="Promote first"):
        registry.set_traffic(service, Traffic(service=service, champion="1"))
    promote(registry, service, "1")
    with pytest.raises(VersionNotFound, match="no version 9"):
        registry.set_traffic(service, Traffic(service=service, champion="1", weights={"1": 90, "9": 10}))
    with pytest.raises(RegistryError, match="cannot be stored for"):
        registry.set_traffic(service, Traffic(service="other", champion="1"))
    assert registry.traffic(service).weights == {"1": 100}


def test_a_promotion_gives_the_alias_all_traffic_and_a_place_in_history(
    registry: Registry, service: str, make_package: MakePackage
) -> None:
    for shift in (0.1, 0.2):
        registry.register(make_package(shift=shift))
    promote(registry, service, "1")
    registry.set_alias(service, "challenger", "2")
    registry.set_traffic(service, Traffic(service=service, champion="1", weights={"1": 50, "2": 50}, sticky="length"))
    promoted = promote(registry, service, "challenger")
    assert (promoted.version, promoted.aliases) == ("2", ("champion",))
    assert registry.aliases(service) == {"champion": "2"}
    assert registry.traffic(service) == Traffic(service=service, champion="2", sticky="length")
    assert registry.champions(service) == ["2", "1"]
    with pytest.raises(VersionNotFound):
        promote(registry, service, "3")
    assert registry.champions(service) == ["2", "1"]


def test_a_promoted_shadow_is_no_shadow_any_more(registry: Registry, service: str, make_package: MakePackage) -> None:
    for shift in (0.1, 0.2, 0.3):
        registry.register(make_package(shift=shift))
    promote(registry, service, "1")
    registry.set_alias(service, "shadow", "2")
    registry.set_traffic(service, Traffic(service=service, champion="1", shadow=("2", "3")))
    promote(registry, service, "2")
    assert registry.aliases(service) == {"champion": "2"}
    assert registry.traffic(service).champion == "2"


def test_rollbacks_go_back_champion_by_champion(registry: Registry, service: str, make_package: MakePackage) -> None:
    for shift in (0.1, 0.2, 0.3):
        registry.register(make_package(shift=shift))
        promote(registry, service, registry.versions(service)[0].version)
    assert registry.champions(service) == ["3", "2", "1"]
    assert rollback(registry, service).version == "2"
    assert registry.traffic(service).weights == {"2": 100}
    assert rollback(registry, service).version == "1"
    with pytest.raises(RegistryError, match="no earlier champion"):
        rollback(registry, service)
    assert registry.aliases(service) == {"champion": "1"}
    promote(registry, service, "3")
    assert rollback(registry, service).version == "1"


def test_registrations_at_once_get_numbers_of_their_own(
    registry: Registry, service: str, make_package: MakePackage
) -> None:
    packages = [make_package(shift=shift / 10) for shift in range(6)]
    got: dict[str, str] = {}
    faults: list[Exception] = []

    def register(package: Path) -> None:
        try:
            registered = registry.register(package)
            got[registered.version] = registered.manifest_sha256
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=register, args=(package,)) for package in packages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(got) == 6
    assert {known.version: known.manifest_sha256 for known in registry.versions(service)} == got
    assert set(got.values()) == {prove_package(package).manifest_sha256 for package in packages}


def test_a_version_travels_to_another_registry_as_a_file(
    registry: Registry, service: str, make_package: MakePackage, tmp_path: Path
) -> None:
    registered = registry.register(make_package(shift=0.3))
    promote(registry, service, "1")
    archive = export_version(registry, service, "champion", tmp_path / "flowers.tar.gz")
    elsewhere = MemoryRegistry(tmp_path / "elsewhere")
    imported = import_version(elsewhere, archive)
    assert (imported.service, imported.version) == (service, "1")
    assert imported.manifest_sha256 == registered.manifest_sha256
    assert import_version(registry, archive).version == "2"


def test_a_copy_damaged_in_the_registry_is_not_exported(
    registry: Registry, service: str, make_package: MakePackage, tmp_path: Path
) -> None:
    class Damaging:
        """The registry, whose downloads lose a byte on their way."""

        def __getattr__(self, name: str) -> object:
            return getattr(registry, name)

        def download(self, service: str, version: str, destination: Path) -> Path:
            folder = registry.download(service, version, destination)
            card = folder / "MODEL_CARD.md"
            card.chmod(0o644)
            card.write_bytes(card.read_bytes()[:-1])
            return folder

    registry.register(make_package())
    with pytest.raises(PackageError, match=r"MODEL_CARD\.md"):
        export_version(Damaging(), service, "1", tmp_path / "flowers.tar")  # type: ignore[arg-type]
    assert not (tmp_path / "flowers.tar").exists()

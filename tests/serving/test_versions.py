"""Versions follow the traffic file while the service answers; what is refused leaves the old one in place."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rookery.errors import ServeError
from rookery.package.manifest import RegressionTask
from rookery.registry.traffic import traffic_path
from rookery.service.contract import contract_of
from rookery.service.discovery import load_service
from rookery.serving.assemble import Assembly
from rookery.serving.compatibility import find_mismatch
from rookery.settings import Settings
from tests.package.builders import classifier, make_manifest, regressor, replace_file, tensors_of
from tests.serving.conftest import SERVICE_CODE, Client, Workshop, serving
from tests.serving.test_middleware import sample


def trained(workshop: Workshop, **versions: Any) -> tuple[Client, Assembly]:
    """Serve a service with one good version."""
    workshop.write_service("penguins")
    workshop.set_traffic("penguins", {"1": workshop.add_package("penguins")})
    return serving(workshop.settings, "penguins")


def look(assembly: Assembly) -> None:
    """Let the watcher look once at everything."""

    async def once() -> None:
        for source in assembly.watcher.sources:
            await assembly.watcher.look_at(source)

    asyncio.run(once())


def test_a_new_champion_answers_as_soon_as_it_is_loaded(workshop: Workshop) -> None:
    client, assembly = trained(workshop)
    before = client.predict()
    other = workshop.add_package("penguins", model=classifier(scale=2.0))
    workshop.set_traffic("penguins", {"2": other}, champion="2")
    look(assembly)
    after = client.predict()
    assert (before.headers["x-model-version"], after.headers["x-model-version"]) == ("1", "2")
    assert before.json()["confidence"] != after.json()["confidence"]
    assert client.get("/info").json()["aliases"] == {"champion": "2"}
    text = client.get("/metrics").text
    assert sample(text, "rookery_model_loaded", service="penguins", version="2") == 1
    assert 'rookery_model_loaded{service="penguins",version="1"}' not in text


def test_a_version_that_stays_is_not_loaded_again(workshop: Workshop) -> None:
    _, assembly = trained(workshop)
    endpoint = assembly.mounts[0].endpoint
    first = endpoint.champion
    digest = next((workshop.home / "packages").iterdir()).name
    other = workshop.add_package("penguins", model=classifier(scale=2.0))
    workshop.set_traffic("penguins", {"1": digest, "2": other}, weights={"1": 90, "2": 10})
    look(assembly)
    assert endpoint.champion is first
    assert set(endpoint.versions) == {"1", "2"}


def test_a_version_that_left_is_released(workshop: Workshop) -> None:
    client, assembly = trained(workshop)
    client.predict()
    old = weakref.ref(assembly.mounts[0].endpoint.champion)
    workshop.set_traffic("penguins", {"2": workshop.add_package("penguins", model=classifier(scale=2.0))}, champion="2")
    look(assembly)
    gc.collect()
    assert old() is None


def test_traffic_is_split_by_weight_and_shown(workshop: Workshop) -> None:
    client, assembly = trained(workshop)
    packages = {
        "1": workshop.add_package("penguins"),
        "2": workshop.add_package("penguins", model=classifier(scale=2.0)),
    }
    workshop.set_traffic("penguins", packages, weights={"1": 70, "2": 30})
    look(assembly)
    answers = client.ask_together(
        [("POST", "/predict", {"json": {**_penguin(), "mass_g": 3000.0 + i}}) for i in range(300)]
    )
    seconds = sum(answer.headers["x-model-version"] == "2" for answer in answers)
    assert 45 < seconds < 140
    assert client.get("/info").json()["canary_percentage"] == 70


def _penguin() -> dict[str, Any]:
    from tests.serving.conftest import PENGUIN

    return PENGUIN


Damage = Callable[[Path], object]


def flip(name: str) -> Damage:
    def damage(directory: Path) -> None:
        data = bytearray((directory / name).read_bytes())
        data[len(data) // 2] ^= 1
        replace_file(directory / name, bytes(data))

    return damage


def link(directory: Path) -> None:
    (directory / "MODEL_CARD.md").rename(directory.parent / "card")
    (directory / "MODEL_CARD.md").symlink_to(directory.parent / "card")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "a flipped byte in the graph": (flip("model.onnx"), "model.onnx"),
    "a flipped byte in the golden cases": (flip("golden.jsonl"), "golden.jsonl"),
    "a flipped byte in the manifest": (flip("manifest.json"), "manifest"),
    "a missing file": (lambda directory: (directory / "profile.json").unlink(), "profile.json"),
    "an added file": (lambda directory: (directory / "more.txt").write_text("x"), "more.txt"),
    "a link": (link, "MODEL_CARD.md"),
    "no folder": (lambda directory: directory.rename(directory.parent / "elsewhere"), ""),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_version_leaves_the_old_one_and_says_why(workshop: Workshop, damage: Damage, named: str) -> None:
    client, assembly = trained(workshop)
    digest = workshop.add_package("penguins", model=classifier(scale=2.0))
    damage(workshop.home / "packages" / digest)
    workshop.set_traffic("penguins", {"2": digest}, champion="2")
    look(assembly)
    health = client.get("/health")
    assert (health.status_code, health.json()["status"], health.json()["model_version"]) == (200, "healthy", "1")
    (warning,) = health.json()["warnings"]
    assert warning.startswith("version 2 was refused")
    assert named in warning
    assert str(workshop.folder) not in health.text
    assert client.predict().headers["x-model-version"] == "1"


@pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_only_version_is_503_until_it_is_repaired(workshop: Workshop, damage: Damage, named: str) -> None:
    workshop.write_service("penguins")
    digest = workshop.add_package("penguins")
    damage(workshop.home / "packages" / digest)
    workshop.set_traffic("penguins", {"1": digest})
    client, assembly = serving(workshop.settings, "penguins")
    for response in (client.predict(), client.get("/health"), client.get("/readyz")):
        assert response.status_code == 503
        assert named in response.text
        assert str(workshop.folder) not in response.text
    repaired = workshop.add_package("penguins", model=classifier(scale=2.0))
    workshop.set_traffic("penguins", {"2": repaired}, champion="2")
    look(assembly)
    assert client.predict().status_code == client.get("/readyz").status_code == 200


def test_a_refused_canary_leaves_its_share_to_the_champion(workshop: Workshop) -> None:
    client, assembly = trained(workshop)
    digest = next((workshop.home / "packages").iterdir()).name
    bad = workshop.add_package("penguins", model=classifier(scale=2.0))
    flip("model.onnx")(workshop.home / "packages" / bad)
    workshop.set_traffic("penguins", {"1": digest, "2": bad}, weights={"1": 50, "2": 50})
    look(assembly)
    assert client.get("/info").json()["canary_percentage"] == 100
    assert "version 2 was refused" in client.get("/health").json()["warnings"][0]


def test_what_the_synchronisation_could_not_follow_is_shown(workshop: Workshop) -> None:
    client, assembly = trained(workshop)
    digest = next((workshop.home / "packages").iterdir()).name
    workshop.set_traffic("penguins", {"1": digest}, failures={"2": "model.onnx: was altered"})
    look(assembly)
    assert client.get("/health").json()["warnings"] == ["version 2 was refused: model.onnx: was altered"]


def test_an_unreadable_traffic_file_changes_nothing(workshop: Workshop) -> None:
    client, assembly = trained(workshop)
    traffic_path(workshop.home, "penguins").write_text("{")
    look(assembly)
    assert client.predict().status_code == 200
    (warning,) = client.get("/health").json()["warnings"]
    assert "no traffic file" in warning
    assert str(workshop.folder) not in warning


def test_a_traffic_file_cannot_point_out_of_the_store(workshop: Workshop, penguin_package: Path) -> None:
    workshop.write_service("penguins")
    digest = workshop.add_package("penguins")
    inside = workshop.home / "packages" / digest
    inside.rename(workshop.folder / "outside")
    inside.symlink_to(workshop.folder / "outside")
    workshop.set_traffic("penguins", {"1": digest})
    client, _ = serving(workshop.settings, "penguins")
    assert "outside the package store" in client.get("/health").json()["reason"]


CHANGED_CODE = {
    "a renamed column": (SERVICE_CODE.replace("mass_g:", "weight_g:"), "weight_g"),
    "another order": (
        SERVICE_CODE.replace("    wild: bool = Field(examples=[True])\n", "").replace(
            "    year:", "    wild: bool = Field(examples=[True])\n    year:"
        ),
        "wild",
    ),
    "another category": (SERVICE_CODE.replace('"Biscoe", "Dream"', '"Anvers", "Dream"'), "Anvers"),
    "another kind": (SERVICE_CODE.replace("year: int", "year: float"), "year"),
    "a column more": (SERVICE_CODE.replace("    wild:", "    age: float = Field(ge=0, le=99)\n    wild:"), "age"),
    "a column less": (SERVICE_CODE.replace("    wild: bool = Field(examples=[True])\n", ""), "wild"),
    "other labels": (SERVICE_CODE.replace('"Adelie", "Chinstrap"', '"Chinstrap", "Adelie"'), "labels"),
}


@pytest.mark.parametrize(("code", "named"), CHANGED_CODE.values(), ids=CHANGED_CODE.keys())
def test_code_that_is_newer_than_the_model_is_refused_rather_than_mis_encoded(
    workshop: Workshop, code: str, named: str
) -> None:
    workshop.write_service("penguins", code)
    workshop.set_traffic("penguins", {"1": workshop.add_package("penguins")})
    client, _ = serving(workshop.settings, "penguins")
    response = client.predict()
    assert response.status_code == 503
    assert named in response.json()["detail"]
    assert "rookery train penguins" in response.json()["detail"]


def test_tighter_bounds_and_other_units_need_no_new_model(workshop: Workshop) -> None:
    workshop.write_service("penguins", SERVICE_CODE.replace("le=9000", "le=5000"))
    workshop.set_traffic("penguins", {"1": workshop.add_package("penguins")})
    client, _ = serving(workshop.settings, "penguins")
    assert client.predict().status_code == 200
    assert client.predict({**_penguin(), "mass_g": 6000.0}).status_code == 422


def test_mismatches_of_task_and_service_are_found(workshop: Workshop) -> None:
    workshop.write_service("penguins")
    contract = contract_of(load_service(workshop.settings.services_folder, "penguins"))
    assert find_mismatch(contract, make_manifest()) == ""
    assert "gulls" in find_mismatch(contract, make_manifest(service="gulls"))
    value = tensors_of("value", (None, 1))
    regression = make_manifest(task=RegressionTask(unit="kg"), tensors=value, confidence_threshold=None)
    assert "regression" in find_mismatch(contract, regression)


def test_a_package_folder_that_is_filled_later_is_found(tmp_path: Path, penguin_package: Path) -> None:
    import shutil

    directory = tmp_path / "package"
    shutil.copytree(penguin_package, directory)
    model = directory / "model.onnx"
    model.chmod(0o644)
    model.rename(tmp_path / "model.onnx")
    client, assembly = serving(Settings(package=directory))
    refused = client.get("/health")
    assert refused.status_code == 503
    assert "model.onnx" in refused.json()["reason"]
    assert str(tmp_path) not in refused.text
    (tmp_path / "model.onnx").rename(model)
    look(assembly)
    assert client.predict().status_code == 200


def test_a_package_without_a_readable_manifest_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="cannot be served"):
        serving(Settings(package=tmp_path / "nowhere"))
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ServeError, match="format 99"):
        serving(Settings(package=tmp_path))


def test_swaps_under_load_fail_no_request_and_answer_by_one_version_each(workshop: Workshop) -> None:
    """Each answer's content is that of the version its header names, whenever the swap happens."""
    client, assembly = trained(workshop)
    packages = {
        "1": next((workshop.home / "packages").iterdir()).name,
        "2": workshop.add_package("penguins", model=classifier(scale=2.0)),
    }
    expected = {"1": client.predict().json()["confidence"]}
    workshop.set_traffic("penguins", packages, champion="2")
    look(assembly)
    expected["2"] = client.predict().json()["confidence"]
    assert expected["1"] != expected["2"]

    async def run() -> set[str]:
        import httpx

        transport = httpx.ASGITransport(app=client.app)
        seen: set[str] = set()
        async with httpx.AsyncClient(transport=transport, base_url="http://rookery.test") as http:

            async def ask(until: asyncio.Event) -> None:
                while not until.is_set():
                    response = await http.post("/predict", json=_penguin())
                    version = response.headers["x-model-version"]
                    assert response.status_code == 200
                    assert response.json()["confidence"] == expected[version]
                    seen.add(version)
                    await asyncio.sleep(0)

            async def swap(until: asyncio.Event) -> None:
                (source,) = assembly.watcher.sources
                for number in range(10):
                    workshop.set_traffic("penguins", packages, champion="12"[number % 2])
                    await assembly.watcher.look_at(source)
                    await asyncio.sleep(0.01)
                until.set()

            until = asyncio.Event()
            tasks: list[Awaitable[None]] = [ask(until) for _ in range(4)]
            await asyncio.gather(swap(until), *tasks)
        return seen

    assert asyncio.run(run()) == {"1", "2"}


def test_the_application_follows_its_versions_while_it_lives(workshop: Workshop) -> None:
    client, assembly = trained(workshop)
    workshop.set_traffic("penguins", {"2": workshop.add_package("penguins")}, champion="2")

    async def live() -> None:
        async with assembly.app.router.lifespan_context(assembly.app):
            deadline = asyncio.get_running_loop().time() + 30
            while assembly.mounts[0].version != "2":
                assert asyncio.get_running_loop().time() < deadline, "the new version was never loaded"
                await asyncio.sleep(0.05)

    asyncio.run(live())
    assert client.get("/readyz").status_code == 503, "after its life the application drains"


def test_a_manifest_of_another_regression_is_no_classification(workshop: Workshop) -> None:
    """A registered package of another kind is refused, too, not only compared."""
    workshop.write_service("penguins")
    parts = {
        "task": RegressionTask(unit="kg"),
        "tensors": tensors_of("value", (None, 1)),
        "confidence_threshold": None,
    }
    digest = workshop.add_package("penguins", model=regressor(), manifest=parts)
    workshop.set_traffic("penguins", {"1": digest})
    client, _ = serving(workshop.settings, "penguins")
    assert "a regression" in client.get("/health").json()["reason"]

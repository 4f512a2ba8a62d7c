"""The common endpoints of services, alone and together on one server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rookery.errors import ServeError
from rookery.service.definition import COMMON_PATHS
from rookery.serving.middleware import PROBES
from rookery.serving.routes.health import show_liveness
from rookery.serving.routing import RouteSpec, RouteTable
from rookery.settings import Settings
from tests.package.builders import build_package, make_manifest, regression_manifest, regressor
from tests.serving.conftest import PENGUIN, SERVICE_CODE, Client, Workshop, serving, strict_json


def test_a_prediction_is_answered_in_the_generic_shape(client: Client) -> None:
    response = client.predict()
    answer = strict_json(response.text)
    assert response.status_code == 200
    assert answer["prediction"] in ("Adelie", "Chinstrap", "Gentoo")
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-model-version"] == answer["version"] == "1"


def test_a_batch_is_answered_row_by_row(client: Client) -> None:
    rows = [PENGUIN, {**PENGUIN, "mass_g": 6000.0}]
    response = client.predict({"rows": rows}, path="/predict/batch")
    predictions = strict_json(response.text)["predictions"]
    singly = [client.predict(row).json() for row in rows]
    assert [row["probabilities"] for row in predictions] == [row["probabilities"] for row in singly]
    assert len({row["request_id"] for row in predictions}) == 2


def test_warnings_are_there_only_when_there_is_something_to_doubt(client: Client) -> None:
    unsure = client.predict(PENGUIN).json()
    outside = client.predict({**PENGUIN, "mass_g": 8999.0}).json()
    plain = client.predict({"mass_g": 3000.0, "year": 2005, "island": "Torgersen", "wild": False}).json()
    assert any("confidence" in warning for warning in unsure["warnings"])
    assert any("mass_g" in warning for warning in outside["warnings"])
    assert "warnings" not in plain


def test_health_names_the_version_that_answers(client: Client) -> None:
    response = client.get("/health")
    health = response.json()
    assert (response.status_code, health["status"], health["model_loaded"]) == (200, "healthy", True)
    assert health["model_version"] == "1"
    assert "warnings" not in health


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_probes_answer_ok(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_readiness_ends_with_draining_while_predictions_go_on(penguin_package: Path) -> None:
    client, assembly = serving(Settings(package=penguin_package))
    assembly.state.begin_draining()
    refused = client.get("/readyz")
    assert refused.status_code == 503
    assert "stopping" in refused.json()["reason"]
    assert client.get("/livez").status_code == 200
    assert client.predict().status_code == 200


def test_a_draining_worker_does_not_become_ready_again(penguin_package: Path) -> None:
    client, assembly = serving(Settings(package=penguin_package))
    assembly.state.begin_draining()
    assembly.state.begin_serving()
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize("path", ["/info", "/model/info"])
def test_info_tells_everything_of_the_service(client: Client, path: str) -> None:
    info = client.get(path).json()
    assert (info["name"], info["model_name"], info["version"]) == ("penguins", "penguins-linear", "1")
    assert (info["environment"], info["canary_percentage"], info["contract"]) == ("dev", 100, "generic")
    assert info["task"] == {"kind": "classification", "labels": ["Adelie", "Chinstrap", "Gentoo"]}
    mass, year, island, wild = info["inputs"]
    assert (mass["name"], mass["unit"], mass["minimum"], mass["maximum"]) == ("mass_g", "g", 1000.0, 9000.0)
    assert 1000 < mass["seen_minimum"] < mass["seen_maximum"] < 9000
    assert (year["type"], island["categories"], wild["type"]) == (
        "integer",
        ["Biscoe", "Dream", "Torgersen"],
        "boolean",
    )
    assert info["metrics"]["candidates"]["linear"]["accuracy"] == 0.97
    assert info["provenance"]["dataset"]["rows"] == 200
    assert info["synthetic"] is False
    assert "notice" not in info


def test_info_says_when_a_model_was_trained_on_synthetic_data(tmp_path: Path) -> None:
    manifest = make_manifest()
    assert manifest.provenance.dataset is not None
    dataset = manifest.provenance.dataset.model_copy(update={"synthetic": True})
    provenance = manifest.provenance.model_copy(update={"dataset": dataset})
    build_package(tmp_path / "package", manifest=manifest.model_copy(update={"provenance": provenance}))
    info = serving(Settings(package=tmp_path / "package"))[0].get("/info").json()
    assert (info["synthetic"], info["notice"]) == (True, "trained on synthetic data")


def test_a_regression_answers_its_value_and_unit(tmp_path: Path) -> None:
    build_package(tmp_path / "package", manifest=regression_manifest(), model=regressor())
    client, _ = serving(Settings(package=tmp_path / "package"))
    assert client.predict().json()["prediction"] == pytest.approx(3.75 + 20.08 + 0.5 + 0.25, rel=1e-5)
    assert client.get("/info").json()["task"] == {"kind": "regression", "unit": "kg"}


def test_the_overview_links_to_what_exists(client: Client) -> None:
    overview = client.get("/").json()
    assert (overview["name"], overview["version"], overview["status"]) == ("penguins", "1", "healthy")
    for name, link in overview["links"].items():
        expected = 405 if name.startswith("predict") else 200
        assert client.get(link).status_code == expected, link


def test_memory_is_told_in_numbers(client: Client) -> None:
    memory = client.get("/metrics/memory").json()
    assert set(memory) == {"memory_percent", "memory_available_mb", "memory_used_mb", "process_rss_mb"}
    assert 0 < memory["memory_percent"] < 100
    assert memory["process_rss_mb"] > 10


def test_debug_is_not_there_unless_it_is_switched_on(penguin_package: Path) -> None:
    settings = Settings(package=penguin_package, tracking_uri="http://user:secret@tracking.test")
    assert serving(settings)[0].get("/debug").status_code == 404
    shown = serving(replace(settings, debug=True))[0].get("/debug")
    assert shown.status_code == 200
    assert shown.json()["services"]["penguins"]["versions"]["1"]["manifest"]["service"] == "penguins"
    assert "secret" not in shown.text


def test_services_stand_side_by_side_under_their_names(workshop: Workshop) -> None:
    for name in ("north", "south"):
        workshop.write_service(name)
        workshop.set_traffic(name, {"1": workshop.add_package(name)})
    client, _ = serving(workshop.settings)
    for name in ("north", "south"):
        answer = client.predict(path=f"/{name}/predict")
        assert (answer.status_code, set(answer.json()) - {"warnings"}) == (200, {"species", "confidence"})
        assert client.get(f"/{name}/info").json()["contract"] == "service"
        assert client.get(f"/{name}").json() == client.get(f"/{name}/").json()
        assert client.get(f"/{name}/docs").headers["x-model-version"] == "1"
    assert set(client.get("/").json()["services"]) == {"north", "south"}
    assert client.get("/health").json()["services"]["south"]["model_version"] == "1"
    assert client.get("/predict").status_code == client.get("/info").status_code == 404
    assert "x-model-version" not in client.get("/").headers


def test_a_joint_server_is_healthy_only_if_every_service_is(workshop: Workshop) -> None:
    workshop.write_service("trained")
    workshop.write_service("untrained")
    workshop.set_traffic("trained", {"1": workshop.add_package("trained")})
    client, _ = serving(workshop.settings)
    health = client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert "untrained" in health.json()["reason"]
    assert client.get("/readyz").status_code == 503
    assert client.get("/trained/health").status_code == client.get("/trained/readyz").status_code == 200
    assert client.predict(path="/trained/predict").status_code == 200


def test_without_a_version_everything_says_what_to_do(workshop: Workshop) -> None:
    workshop.write_service("untrained")
    client, _ = serving(workshop.settings, "untrained")
    for response in (client.predict(), client.get("/health"), client.get("/readyz")):
        assert response.status_code == 503
        assert "rookery train untrained" in response.text
        assert response.headers["retry-after"] == "1"
    assert client.get("/livez").status_code == client.get("/info").status_code == 200


def test_a_service_without_its_code_answers_generically(workshop: Workshop) -> None:
    workshop.set_traffic("penguins", {"1": workshop.add_package("penguins")})
    client, _ = serving(workshop.settings, "penguins")
    assert client.get("/info").json()["contract"] == "generic"
    assert client.predict().status_code == 200


def test_an_unknown_service_is_named_at_the_start(workshop: Workshop) -> None:
    with pytest.raises(ServeError, match="nowhere"):
        serving(workshop.settings, "nowhere")
    with pytest.raises(ServeError, match="no service"):
        serving(workshop.settings)


def test_no_service_can_claim_a_path_or_a_name_of_the_servers_own(client: Client) -> None:
    table = client.app.routes[0]
    paths = {route.path for route in table.routes} - {"/", "/predict"}
    assert {path for path in paths if not path.startswith("/docs/assets/")} <= COMMON_PATHS


def test_two_routes_with_one_path_are_refused_at_the_start() -> None:
    route = RouteSpec(method="GET", path="/here", access="public", answer=show_liveness)
    with pytest.raises(ServeError, match="GET /here"):
        RouteTable([route, route])


def test_a_further_path_of_a_service_answers_like_predict(workshop: Workshop) -> None:
    code = SERVICE_CODE.replace('name="NAME",', 'name="NAME", paths=("/predict", "/api/v1/species"),')
    workshop.write_service("many", code)
    workshop.set_traffic("many", {"1": workshop.add_package("many")})
    client, assembly = serving(workshop.settings, "many")
    assert client.predict(path="/api/v1/species").json() == client.predict().json()
    assert set(assembly.lane_routes) == {b"/predict", b"/api/v1/species", b"/predict/batch"}


def test_every_route_declares_who_may_call_it(penguin_package: Path) -> None:
    table = serving(Settings(package=penguin_package))[1].app.routes[0]
    assert isinstance(table, RouteTable)
    access = {(route.method, route.path): route.access for route in table.routes}
    assert set(access.values()) == {"public", "predict", "read", "admin"}
    assert {path for (_, path), scope in access.items() if scope == "predict"} == {"/predict", "/predict/batch"}
    assert {path for (_, path), scope in access.items() if scope == "admin"} == {"/debug"}
    assert all(access["GET", probe] == "public" for probe in PROBES)
    assert access["GET", "/metrics"] == access["GET", "/info"] == "read"


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_documentation_needs_nothing_from_elsewhere(client: Client, page: str) -> None:
    response = client.get(page)
    assert response.status_code == 200
    assert "http" not in response.text.replace("<!DOCTYPE html>", "")
    assets = [part.split('"')[0] for part in response.text.split('="') if part.startswith("docs/assets/")]
    assert len(assets) >= 2
    for asset in assets:
        answer = client.get(f"/{asset}")
        assert (answer.status_code, len(answer.content) > 100) == (200, True), asset
    assert "'unsafe-eval'" not in response.headers["content-security-policy"]


def test_head_is_answered_where_get_is(client: Client) -> None:
    assert client.ask("HEAD", "/health").status_code == 200
    assert client.ask("HEAD", "/predict").status_code == 405

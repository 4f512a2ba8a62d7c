"""Rookery as a FastAPI application: run alone, extended by a user's routes, or mounted into another application."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI

from rookery.errors import ServeError
from rookery.serving.embed import create_app
from rookery.settings import Settings
from tests.serving.conftest import Client, Workshop


def test_the_application_is_ready_as_it_is_made(penguin_package: Path) -> None:
    client = Client(create_app(package=penguin_package))
    assert client.get("/readyz").status_code == 200
    assert client.predict().status_code == 200
    assert client.predict(b"{").status_code == 422
    assert client.get("/predict/").status_code == 404


def test_a_users_own_routes_stand_beside_ours_in_one_documentation(penguin_package: Path) -> None:
    app = create_app(package=penguin_package)

    @app.get("/hello/{name}")
    def hello(name: str) -> dict[str, str]:
        return {"hello": name}

    client = Client(app)
    answer = client.get("/hello/you")
    assert answer.json() == {"hello": "you"}
    assert answer.headers["x-request-id"]
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/hello/{name}", "/predict"} <= set(paths)
    assert app.openapi()["paths"].keys() == paths.keys()


def test_mounted_below_a_path_everything_works_and_links_fit(penguin_package: Path) -> None:
    outer = FastAPI()
    outer.mount("/ml", create_app(package=penguin_package))
    client = Client(outer)
    assert client.predict(path="/ml/predict").status_code == 200
    assert client.get("/ml/").json()["links"]["predict"] == "/ml/predict"
    assert client.get("/ml/openapi.json").json()["servers"] == [{"url": "/ml"}]
    assert client.get("/ml/docs/assets/swagger-start.js").status_code == 200
    assert client.get("/predict").status_code == 404
    assert client.get("/ml/nothing").json() == {"detail": "there is nothing at this path"}


def test_services_are_embedded_by_name(workshop: Workshop) -> None:
    workshop.write_service("one")
    workshop.set_traffic("one", {"1": workshop.add_package("one")})
    client = Client(create_app(services=["one"], settings=workshop.settings))
    assert set(client.predict().json()) >= {"species", "confidence"}


def test_nothing_to_serve_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ServeError):
        create_app(settings=Settings(home=tmp_path, services_folder=tmp_path / "none"))

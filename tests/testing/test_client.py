"""The local client: a package with or without its service, in this process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from rookery.errors import PackageError
from rookery.service.definition import Service
from rookery.testing.client import LocalClient
from tests.http.corpus import PENGUIN


def test_a_service_answers_in_its_own_shape(penguins_package: Path, penguins_service: Service) -> None:
    """With the service's Python the answer is what its `respond` makes."""
    with LocalClient(penguins_package, service=penguins_service) as client:
        answer = client.predict(PENGUIN)
        assert answer["species"] == "Adelie"
        assert client.get("/info").json()["contract"] == "service"


def test_a_package_alone_answers_generically(penguins_package: Path) -> None:
    """Without it the answer has the task's shape, and names model, version and request."""
    with LocalClient(penguins_package, version="3") as client:
        answer = client.predict(PENGUIN)
        assert answer["prediction"] == "Adelie"
        assert answer["version"] == "3"
        assert client.get("/info").json()["contract"] == "generic"


def test_a_batch_comes_back_in_order(penguins_package: Path) -> None:
    """`predict_batch` returns an answer per row, in the rows' order."""
    gentoo = {**PENGUIN, "bill_length_mm": 48.0, "bill_depth_mm": 14.5, "flipper_length_mm": 218, "body_mass_g": 5200}
    gentoo["island"] = "Biscoe"
    with LocalClient(penguins_package) as client:
        answers = client.predict_batch([PENGUIN, gentoo, PENGUIN])
    assert [answer["prediction"] for answer in answers] == ["Adelie", "Gentoo", "Adelie"]


def test_a_refused_input_says_why(penguins_package: Path) -> None:
    """`predict` raises with the refusal's own text instead of returning it."""
    with LocalClient(penguins_package) as client, pytest.raises(AssertionError, match="body_mass_g"):
        client.predict({**PENGUIN, "body_mass_g": 3.75})


def test_ids_and_versions_are_in_the_headers(penguins_package: Path) -> None:
    """A sane id of the client comes back; the version is named."""
    with LocalClient(penguins_package, version="7") as client:
        response = client.post("/predict", PENGUIN, headers={"X-Request-ID": "mine-1"})
    assert response.headers["x-request-id"] == "mine-1"
    assert response.headers["x-model-version"] == "7"


def test_a_package_of_another_input_is_refused(penguins_package: Path, penguins_service: Service) -> None:
    """A service whose input model has changed since the training cannot answer by the old package."""

    class OtherPenguin(BaseModel):
        bill_length_mm: float

    other = replace(penguins_service, input=OtherPenguin, derived={}, rules=())
    with pytest.raises(PackageError, match="another input model"):
        LocalClient(penguins_package, service=other)


def test_a_damaged_package_is_refused(package_copy: Path) -> None:
    """The local client opens a package with every check of a server."""
    card = package_copy / "MODEL_CARD.md"
    card.write_bytes(card.read_bytes() + b" ")
    with pytest.raises(PackageError, match=r"MODEL_CARD\.md"):
        LocalClient(package_copy)

"""The outermost layer: ids, headers, hosts, counts, log lines, and errors that tell nothing."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from rookery.serving.http import API_HEADERS
from rookery.serving.middleware import Envelope
from rookery.serving.site import Site
from rookery.settings import Settings
from rookery.telemetry.logs import Log, PredictionLog
from tests.serving.conftest import PENGUIN, Client, Workshop, serving


def sample(text: str, name: str, **labels: str) -> float:
    """Return a metric's value from Prometheus' text; 0 if it is not there."""
    total = 0.0
    for line in text.splitlines():
        if line.startswith((name + "{", name + " ")):
            found = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if all(found.get(label) == value for label, value in labels.items()):
                total += float(line.rpartition(" ")[2])
    return total


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/nothing"), ("GET", "/predict"), ("POST", "/predict"), ("GET", "/docs")]
)
def test_every_response_carries_ids_version_and_security_headers(client: Client, method: str, path: str) -> None:
    headers = client.ask(method, path).headers
    assert UUID(headers["x-request-id"]).version == 7
    assert headers["x-model-version"] == "1"
    for name, _ in API_HEADERS:
        assert len(headers.get_list(name.decode())) == 1, name
    assert "server" not in headers


def test_requests_of_all_kinds_are_counted_by_status(client: Client) -> None:
    client.predict()
    client.predict({"rows": [PENGUIN] * 3}, path="/predict/batch")
    client.predict(b"{")
    client.get("/nothing")
    client.get("/predict")
    client.predict(PENGUIN, content_type="text/plain")
    text = client.get("/metrics").text
    assert sample(text, "rookery_requests_total", service="penguins", version="1", status="200") == 2
    assert sample(text, "rookery_predictions_total", service="penguins", version="1") == 4
    for status in ("404", "405", "415", "422"):
        assert sample(text, "rookery_requests_total", service="penguins", status=status) == 1, status
    assert sample(text, "rookery_errors_total", service="penguins", **{"class": "4xx"}) == 4
    assert sample(text, "rookery_model_loaded", service="penguins", version="1") == 1
    assert client.get("/metrics-prometheus").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_metrics_add_up_what_all_workers_left(penguin_package: Path, tmp_path: Path) -> None:
    from rookery.telemetry.accumulator import WorkerMetrics
    from rookery.telemetry.snapshots import write_snapshot

    other = WorkerMetrics("other", worker="1")
    other.series("penguins", "1").observe(200, 0.001, rows=7)
    write_snapshot(tmp_path, other.snapshot())
    client, _ = serving(Settings(package=penguin_package), metrics_folder=tmp_path)
    client.predict()
    text = client.get("/metrics").text
    assert sample(text, "rookery_predictions_total", service="penguins", version="1") == 8


def test_counts_that_were_shown_outlive_a_worker_that_is_killed_at_once(penguin_package: Path, tmp_path: Path) -> None:
    from rookery.telemetry.snapshots import merge, read_snapshots

    client, _ = serving(Settings(package=penguin_package), metrics_folder=tmp_path)
    client.predict()
    client.get("/metrics")
    left = merge(*read_snapshots(tmp_path)).counters
    assert left["rookery_predictions_total", ("penguins", "1")] == 1


def test_an_unexpected_error_is_500_without_a_word_of_it(
    penguin_package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(_: Any) -> Any:
        raise RuntimeError("the secret reason in /some/path")

    site: Site = _site_of(serving(Settings(package=penguin_package))[1])
    app = Starlette(routes=[Route("/crash", crash)], middleware=[Middleware(Envelope, site=site)])
    with caplog.at_level(logging.ERROR):
        response = Client(app).get("/crash")
    assert (response.status_code, response.json()) == (500, {"detail": "internal error"})
    assert UUID(response.headers["x-request-id"]).version == 7
    assert "the secret reason" in caplog.text
    assert sample(Client(app).get("/none").text, "x") == 0
    assert site.metrics.series("penguins", "").requests == 2


def test_an_error_after_the_response_began_ends_it(penguin_package: Path) -> None:
    async def halfway(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("begun")(scope, receive, send)
        raise RuntimeError("too late")

    envelope = Envelope(halfway, _site_of(serving(Settings(package=penguin_package))[1]))
    with pytest.raises(RuntimeError, match="too late"):
        Client(envelope).get("/")


def _site_of(assembly: Any) -> Site:
    mount = assembly.mounts[0]
    from rookery.telemetry.accumulator import WorkerMetrics

    return Site(mounts=[mount], settings=Settings(), state=assembly.state, metrics=WorkerMetrics("site"))


@pytest.mark.parametrize(
    ("host", "status"),
    [("models.test", 200), ("models.test:8000", 200), ("MODELS.test", 200), ("a.below.test", 200), ("below.test", 400),
     ("evil.test", 400), ("models.test.evil.test", 400), ("", 400)],
)  # fmt: skip
def test_only_allowed_hosts_are_answered(penguin_package: Path, host: str, status: int) -> None:
    settings = Settings(package=penguin_package, allowed_hosts=("models.test", "*.below.test"))
    client, _ = serving(settings)
    response = client.predict(PENGUIN, host=host)
    assert response.status_code == status
    assert response.headers["x-request-id"]
    assert client.get("/livez", headers={"host": host}).status_code == 200, "probes go by address"


def test_browsers_are_let_in_only_from_configured_origins(penguin_package: Path) -> None:
    settings = Settings(package=penguin_package, cors_origins=("https://app.test",))
    client, _ = serving(settings)
    preflight = {"origin": "https://app.test", "access-control-request-method": "POST"}
    allowed = client.ask("OPTIONS", "/predict", headers=preflight)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://app.test")
    assert (
        client.predict(PENGUIN, origin="https://app.test").headers["access-control-allow-origin"] == "https://app.test"
    )
    assert "access-control-allow-origin" not in client.predict(PENGUIN, origin="https://evil.test").headers
    plain, _ = serving(replace(settings, cors_origins=()))
    assert "access-control-allow-origin" not in plain.predict(PENGUIN, origin="https://app.test").headers


def test_behind_a_proxy_that_strips_a_path_links_name_it(penguin_package: Path) -> None:
    client, _ = serving(Settings(package=penguin_package, root_path="/models"))
    assert client.get("/").json()["links"]["health"] == "/models/health"
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/models"}]
    assert client.predict().status_code == 200
    assert client.predict(path="/models/predict").status_code == 200, "a proxy that does not strip it works as well"


class Lines:
    """A sink that keeps log lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, line: bytes) -> None:
        self.lines.append(json.loads(line))


def test_every_request_that_says_something_has_one_log_line(penguin_package: Path) -> None:
    sink = Lines()
    log = PredictionLog(Log([sink]), per_second=1000)  # type: ignore[list-item]
    client, _ = serving(Settings(package=penguin_package), log=log)
    answer = client.predict()
    for path in ("/health", "/livez", "/readyz", "/metrics"):
        client.get(path)
    client.get("/info", headers={"x-request-id": "mine"})
    client.get("/nothing%0d%0aforged")
    messages = [line["message"] for line in sink.lines]
    assert messages == ["Prediction successful", "Request answered", "Request refused"]
    assert sink.lines[0]["request_id"] == answer.json()["request_id"]
    assert (sink.lines[1]["path"], sink.lines[1]["status"], sink.lines[1]["method"]) == ("/info", 200, "GET")
    assert sink.lines[2]["status"] == 404


def test_in_flight_counts_requests_that_are_not_answered_yet(workshop: Workshop) -> None:
    workshop.write_service("one")
    workshop.set_traffic("one", {"1": workshop.add_package("one")})
    client, assembly = serving(workshop.settings, "one")
    text = client.get("/metrics").text
    assert sample(text, "rookery_in_flight", service="one") == 1, "the scrape itself"
    assert assembly.mounts[0].open_requests == 0

"""Calls that travel together are answered each by its own input, and none suffers from another's fault."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rookery.errors import DeadlineExceeded, InferenceFailed, InvalidInput, NotReady, PayloadTooLarge
from rookery.package.opener import Package
from rookery.pipeline.call import Call
from rookery.pipeline.ids import make_request_ids
from rookery.service.definition import Service
from rookery.service.policies import Limits
from rookery.service.prediction import Prediction
from rookery.service.task import Regression
from tests.pipeline.conftest import Bench, Parcel


def parcel(weight: float, speed: str = "normal", length: float = 100.0) -> dict[str, Any]:
    return {"weight_kg": weight, "length_cm": length, "speed": speed}


def body(weight: float, speed: str = "normal", length: float = 100.0) -> bytes:
    return json.dumps(parcel(weight, speed, length)).encode()


def price(call: Call) -> float:
    assert call.error is None, call.error
    return float(json.loads(call.payload or b"")["prediction"])


def test_a_call_is_answered_by_its_own_row(bench: Bench) -> None:
    calls = bench.run(body(1), body(2, "express"), body(30))
    assert [price(call) for call in calls] == [2.0, 14.0, 60.0]
    answer = json.loads(calls[0].payload or b"")
    assert (answer["model"], answer["version"], answer["request_id"]) == ("parcels-linear", "1", calls[0].request_id)


def test_a_batch_answers_every_row_with_an_id_of_its_own(bench: Bench) -> None:
    batch = json.dumps({"rows": [parcel(1), parcel(2), parcel(3)]}).encode()
    single, many, empty = bench.run(body(9), ("batch", batch), ("batch", b'{"rows":[]}'))
    answers = json.loads(many.payload or b"")["predictions"]
    assert [answer["prediction"] for answer in answers] == [2.0, 4.0, 6.0]
    assert len({answer["request_id"] for answer in answers} | {many.request_id, single.request_id}) == 5
    assert isinstance(empty.error, InvalidInput), "a batch has at least one row"
    assert price(single) == 18.0


def test_bad_calls_get_their_own_error_and_leave_their_neighbours_alone(bench: Bench) -> None:
    rows = [parcel(1), parcel(50, length=10.0)]
    calls = bench.run(
        body(1),
        b"{",
        body(500),
        body(2),
        body(60, length=20.0),
        body(-1),
        ("batch", json.dumps({"rows": rows}).encode()),
        b'{"weight_kg":1e999,"length_cm":1,"speed":"normal"}',
        body(3),
    )
    assert [price(calls[at]) for at in (0, 3, 8)] == [2.0, 4.0, 6.0]
    kinds = [type(calls[at].error) for at in (1, 2, 4, 5, 6, 7)]
    assert kinds == [InvalidInput, InvalidInput, InvalidInput, InferenceFailed, InvalidInput, InvalidInput]


def test_errors_name_the_field_and_the_row(bench: Bench) -> None:
    rows = {"rows": [parcel(1), parcel(2) | {"speed": "expres"}]}
    broken = {"rows": [parcel(1), parcel(50, length=10.0)]}
    calls = bench.run(body(500), ("batch", json.dumps(rows).encode()), ("batch", json.dumps(broken).encode()))
    locations = []
    for call in calls:
        assert isinstance(call.error, InvalidInput)
        locations.append([list(detail["loc"]) for detail in call.error.details])
    assert locations[0] == [["body", "weight_kg"]]
    assert locations[1] == [["body", "rows", 1, "speed"]]
    assert all(location[:3] == ["body", "rows", 1] for location in locations[2])


def test_a_row_that_float32_cannot_hold_is_refused_and_named() -> None:
    from pydantic import BaseModel

    class Unbounded(BaseModel):
        weight_kg: float
        length_cm: float
        speed: bool

    from rookery.fields.encoder import Encoder
    from rookery.fields.schema import read_input_model

    schema = read_input_model(Unbounded)
    row = schema.model.model_validate({"weight_kg": 1e300, "length_cm": 1.0, "speed": True})
    encoder = Encoder(schema)
    assert list(encoder.overflowing(encoder.encode_rows([row]))) == [0]


def test_too_many_rows_are_refused(package: Package) -> None:
    service = Service(name="parcels", input=Parcel, task=Regression("EUR"), limits=Limits(rows=2))
    (call,) = Bench(package, service=service).run(("batch", json.dumps({"rows": [parcel(1)] * 3}).encode()))
    assert isinstance(call.error, PayloadTooLarge)


@pytest.mark.parametrize(
    "bad",
    [("batch", b'{"rows":[' + b"{}," * 700_000 + b"{}]}"), b"{" + b'"a":1,' * 300_000 + b'"a":1}'],
    ids=["millions of empty rows", "a hundred thousand unknown fields"],
)
def test_bodies_whose_errors_alone_would_take_seconds_are_refused_unread(bench: Bench, bad: Any) -> None:
    (call,) = bench.run(bad)
    assert isinstance(call.error, PayloadTooLarge)


def test_calls_past_their_deadline_are_not_run(bench: Bench) -> None:
    late = time.perf_counter() - 60
    (call,) = bench.run(body(1), received=late)
    assert isinstance(call.error, DeadlineExceeded)


def test_without_a_version_calls_are_told_why() -> None:
    bench = Bench()
    bench.endpoint.reason = "golden case 3 is not reproduced"
    (call,) = bench.run(body(1))
    assert isinstance(call.error, NotReady)
    assert "golden case 3" in str(call.error)


def test_a_respond_that_crashes_for_one_row_fails_that_call_only(package: Package) -> None:
    def respond(prediction: Prediction) -> dict[str, Any]:
        return {"price": prediction.value, "unlucky": 1 / (prediction.value - 4.0)}  # type: ignore[operator]

    service = Service(name="parcels", input=Parcel, task=Regression("EUR"), respond=respond)
    calls = Bench(package, service=service).run(body(1), body(2), body(3))
    assert [json.loads(call.payload or b"")["price"] for call in (calls[0], calls[2])] == [2.0, 6.0]
    assert isinstance(calls[1].error, InferenceFailed)
    assert "ZeroDivision" not in str(calls[1].error)


def test_warnings_appear_only_where_there_are_any(bench: Bench) -> None:
    inside, outside = bench.run(body(20), body(90))
    assert "warnings" not in json.loads(inside.payload or b"")
    (warning,) = json.loads(outside.payload or b"")["warnings"]
    assert "weight_kg" in warning
    assert "40" in warning


def test_traffic_is_split_by_weight_and_each_answer_names_its_version(
    package: Package, dearer_package: Package
) -> None:
    bench = Bench(package, dearer_package, weights={"1": 70, "2": 30})
    calls = bench.run(*[body(n % 40 + 1) for n in range(2000)])
    for n, call in enumerate(calls):
        assert call.version is not None
        assert price(call) == (n % 40 + 1) * {"1": 2.0, "2": 3.0}[call.version.version]
        assert json.loads(call.payload or b"")["version"] == call.version.version
    share = sum(call.version is not None and call.version.version == "2" for call in calls) / len(calls)
    assert 0.25 < share < 0.35


def test_equal_sticky_keys_get_the_same_version(package: Package, dearer_package: Package) -> None:
    endpoint = Bench(package, dearer_package, weights={"1": 50, "2": 50}).endpoint
    for key in map(str, range(50)):
        assert len({endpoint.choose(key) for _ in range(5)}) == 1


def test_metrics_count_every_call_once(bench: Bench) -> None:
    bench.run(body(1), body(2), b"{", ("batch", json.dumps({"rows": [parcel(1)] * 5}).encode()))
    counters = {(name, labels): value for name, labels, value in bench.metrics.snapshot().counters}
    assert counters["rookery_requests_total", ("parcels", "1", "200")] == 3
    assert counters["rookery_requests_total", ("parcels", "", "400")] == 1
    assert counters["rookery_predictions_total", ("parcels", "1")] == 7
    assert counters["rookery_errors_total", ("parcels", "4xx")] == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weights=st.lists(st.one_of(st.integers(-1, 140), st.none()), min_size=1, max_size=80))
def test_answers_never_swap_whatever_travels_together(bench: Bench, weights: list[int | None]) -> None:
    calls = bench.run(*[b"rubbish" if weight is None else body(weight, length=100.0) for weight in weights])
    for weight, call in zip(weights, calls, strict=True):
        if weight is not None and 0 <= weight <= 100:
            assert price(call) == 2.0 * weight
        else:
            assert call.error is not None
            assert call.payload


def test_request_ids_are_unique_uuid7_with_the_current_time() -> None:
    ids = make_request_ids(10_000)
    assert len(set(ids)) == 10_000
    apart = {request_id for _ in range(2000) for request_id in make_request_ids(2)}
    assert len(apart) == 4000, "ids that are made apart differ as well"
    for text in ids[:200]:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", text)
        assert abs((uuid.UUID(text).int >> 80) / 1000 - time.time()) < 60


def test_an_answer_that_is_no_json_fails_its_own_call(package: Package) -> None:
    """One that holds itself, too, which no encoder comes to the end of."""
    endless: list[Any] = []
    endless.append(endless)

    def respond(prediction: Prediction) -> dict[str, Any]:
        return {"prediction": {14.0: object(), 18.0: endless}.get(prediction.value or 0, prediction.value)}

    service = Service(name="parcels", input=Parcel, task=Regression("EUR"), respond=respond)
    calls = Bench(package, service=service).run(*map(body, (1, 7, 2, 9, 3)))
    assert [price(calls[at]) for at in (0, 2, 4)] == [2.0, 4.0, 6.0]
    assert [type(calls[at].error) for at in (1, 3)] == [InferenceFailed] * 2


@pytest.mark.parametrize("bodies", [[b""], [b"[]"], [b"\xff\xfe"], [b"[" * 10_000], [b'{"weight_kg":NaN}'], [b"null"]])
def test_bodies_that_are_no_input_are_refused(bench: Bench, bodies: list[bytes]) -> None:
    (call,) = bench.run(*bodies)
    assert isinstance(call.error, InvalidInput)

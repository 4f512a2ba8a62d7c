"""The promises every service makes, each a check that yields where it is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from rookery.testing.asgi import LocalResponse
from rookery.testing.client import LocalClient
from rookery.testing.imports import training_libraries_of_a_server
from rookery.testing.inputs import BadInput, Row, bad_bodies, bad_rows, outlying_rows
from rookery.testing.varying import varying_fields, without

BATCH_ROWS = 20


@dataclass(frozen=True, slots=True)
class Subject:
    """A service under examination, and inputs that it must answer."""

    client: LocalClient
    rows: list[Row]
    """Good inputs, the fields' own examples first."""

    @property
    def path(self) -> str:
        """Where single predictions are answered."""
        return self.client.contract.paths[0]

    def send(self, body: bytes, path: str = "", **headers: str) -> LocalResponse:
        """Send a body to the prediction path."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request("POST", path or self.path, content=body, headers=named)

    def predict(self, row: Mapping[str, Any]) -> LocalResponse:
        """Ask for one prediction."""
        return self.client.post(self.path, row)


Promise = Callable[[Subject], Iterator[str]]


def good_inputs_are_answered(subject: Subject) -> Iterator[str]:
    """Examples and golden inputs get 200, strict JSON, ids and the version in headers, on every declared path."""
    for path in subject.client.contract.paths:
        for number, row in enumerate(subject.rows):
            response = subject.client.post(path, row)
            if response.status != 200:
                yield f"{path}: good input {number} ({row}) got {response.status}: {response.text[:500]}"
                continue
            yield from is_strict_json(response, f"{path}: good input {number}")
            missing = {"x-request-id", "x-model-version"} - set(response.headers)
            if missing:
                yield f"{path}: good input {number} got no header {', '.join(sorted(missing))}"


def answers_fit_the_output_model(subject: Subject) -> Iterator[str]:
    """Every answer is an instance of the output model, with no field that the model does not show."""
    model = subject.client.contract.output
    if model is None:
        return
    for number, row in enumerate(subject.rows):
        response = subject.predict(row)
        if response.status == 200:
            yield from fits(model, response.json(), f"the answer to good input {number}")


def bad_fields_are_named(subject: Subject) -> Iterator[str]:
    """A missing, mistyped, out-of-range or unknown field gets 422, and the problem's place names that field."""
    for bad in bad_rows(subject.client.contract.schema, subject.rows[0]):
        yield from _is_refused(bad, subject.send(bad.body))


def bad_bodies_are_refused(subject: Subject) -> Iterator[str]:
    """What is no JSON of the right form gets a 4xx with strict JSON, never a 500."""
    for bad in bad_bodies(subject.client.contract.schema, subject.rows[0]):
        yield from _is_refused(bad, subject.send(bad.body))


def batches_answer_as_singles(subject: Subject) -> Iterator[str]:
    """A batch gives each row the answer that it gets alone, but for ids and times."""
    rows = subject.rows[:BATCH_ROWS]
    varying = varying_fields(subject.client.contract)
    response = subject.client.post("/predict/batch", {"rows": rows})
    if response.status != 200:
        yield f"a batch of {len(rows)} good inputs got {response.status}: {response.text[:500]}"
        return
    together = response.json()["predictions"]
    if len(together) != len(rows):
        yield f"a batch of {len(rows)} rows got {len(together)} answers"
    for number, (row, answer) in enumerate(zip(rows, together, strict=False)):
        alone = subject.predict(row).json()
        if without(alone, varying) != without(answer, varying):
            yield f"row {number} of a batch is answered {answer}, alone {alone}"


def batches_name_the_bad_row(subject: Subject) -> Iterator[str]:
    """One bad row is named by its index; too many rows and none at all are refused."""
    good = subject.rows[0]
    bad = dict(list(good.items())[1:]) | {"no_such_field": 1}
    response = subject.client.post("/predict/batch", {"rows": [good, good, bad]})
    places = _places(response)
    if response.status != 422 or not any(place[:3] == ["body", "rows", 2] for place in places):
        yield f"a bad third row of a batch got {response.status} at {places}"
    limit = subject.client.contract.limits.rows
    response = subject.client.post("/predict/batch", {"rows": [good] * (limit + 1)})
    if response.status != 413:
        yield f"a batch of {limit + 1} rows got {response.status}, the limit is {limit} (413)"
    response = subject.client.post("/predict/batch", {"rows": []})
    if response.status != 422:
        yield f"a batch without rows got {response.status}, expected 422"


def limits_hold(subject: Subject) -> Iterator[str]:
    """Too many bytes get 413, another content type and compressed bodies 415."""
    body = json.dumps(subject.rows[0]).encode()
    limit = subject.client.contract.limits.body_bytes
    for what, status, response in (
        (f"a body of {limit + 1} bytes", 413, subject.send(body + b" " * (limit + 1 - len(body)))),
        ("a body of text/csv", 415, subject.send(body, content_type="text/csv")),
        ("a gzip body", 415, subject.send(body, content_encoding="gzip")),
    ):
        if response.status != status:
            yield f"{what} got {response.status}, expected {status}"
        yield from is_strict_json(response, what)


def outliers_carry_a_warning(subject: Subject) -> Iterator[str]:
    """A number outside the training data's range is answered with a warning that names it, or refused by a rule."""
    package, schema = subject.client.package, subject.client.contract.schema
    low, high = package.profile.ranges()
    finite = [index for index in range(len(schema.columns)) if abs(float(low[index])) < float("inf")]
    names = {index: schema.columns[index].name for index in finite}
    lows = {name: float(low[index]) for index, name in names.items()}
    highs = {name: float(high[index]) for index, name in names.items()}
    for name, row in outlying_rows(schema, subject.rows[0], lows, highs):
        response = subject.predict(row)
        if response.status == 422:
            continue
        warnings = response.json().get("warnings", []) if response.status == 200 else []
        if not any(name in warning for warning in warnings):
            yield f"{name} outside the training range got {response.status} without a warning: {response.text[:500]}"


def pages_answer_as_documented(subject: Subject) -> Iterator[str]:
    """Every documented GET answers with a documented status; unknown paths get 404, wrong methods 405."""
    yield from pages_answer(subject.client)


def pages_answer(client: LocalClient) -> Iterator[str]:
    """Yield where the pages of a service answer otherwise than its documentation says."""
    paths = client.get("/openapi.json").json()["paths"]
    for path in sorted(path for path, methods in paths.items() if "get" in methods):
        response = client.get(path)
        documented = set(paths[path]["get"]["responses"])
        if str(response.status) not in documented:
            yield f"GET {path} got {response.status}, documented are {', '.join(sorted(documented))}"
        if "json" in response.headers.get("content-type", ""):
            yield from is_strict_json(response, f"GET {path}")
    for path in (*client.contract.paths, "/predict/batch"):
        if path not in paths:
            yield f"POST {path} is not documented"
    for method, path, status in (("GET", "/no/such/path", 404), ("GET", client.contract.paths[0], 405)):
        response = client.request(method, path)
        if response.status != status:
            yield f"{method} {path} got {response.status}, expected {status}"


def refusals_are_documented(subject: Subject) -> Iterator[str]:
    """Every status that bad requests get is in the API's documentation."""
    paths = subject.client.get("/openapi.json").json()["paths"]
    documented = set(paths[subject.path]["post"]["responses"])
    schema, good = subject.client.contract.schema, subject.rows[0]
    for bad in (*bad_rows(schema, good), *bad_bodies(schema, good)):
        status = str(subject.send(bad.body).status)
        if status not in documented:
            yield f"{bad.what} got {status}, documented are {', '.join(sorted(documented))}"


def servers_stay_light(subject: Subject) -> Iterator[str]:
    """A process that serves the package has loaded no training library."""
    yield from stays_light(training_libraries_of_a_server(subject.client.package.directory, subject.rows[0]))


def stays_light(loaded: Sequence[str]) -> Iterator[str]:
    """Yield the training libraries that a server has loaded."""
    if loaded:
        yield f"serving the package loads {', '.join(loaded)}"


PROMISES: tuple[Promise, ...] = (
    good_inputs_are_answered,
    answers_fit_the_output_model,
    bad_fields_are_named,
    bad_bodies_are_refused,
    batches_answer_as_singles,
    batches_name_the_bad_row,
    limits_hold,
    outliers_carry_a_warning,
    pages_answer_as_documented,
    refusals_are_documented,
    servers_stay_light,
)


def _is_refused(bad: BadInput, response: LocalResponse) -> Iterator[str]:
    if response.status not in bad.statuses:
        yield f"{bad.what} got {response.status}, expected {' or '.join(map(str, bad.statuses))}: {response.text[:500]}"
        return
    yield from is_strict_json(response, bad.what)
    places = _places(response)
    if bad.field is not None and not any(bad.field in place for place in places):
        yield f"{bad.what} is refused without naming {bad.field}: {places}"


def _places(response: LocalResponse) -> list[list[Any]]:
    """Return the `loc` of every problem a refusal names."""
    detail = response.json().get("detail")
    return [problem["loc"] for problem in detail] if isinstance(detail, list) else []


def is_strict_json(response: LocalResponse, what: str) -> Iterator[str]:
    """Yield where a response is no strict JSON."""
    try:
        response.json()
    except ValueError as error:
        yield f"{what} is answered with what is no strict JSON: {error}"


def fits(model: type[BaseModel], answer: Any, what: str) -> Iterator[str]:
    """Yield where an answer is no instance of the output model, or shows more than it does."""
    try:
        model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        yield f"{what} is no {model.__name__}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        return
    unknown = sorted(set(answer) - {field.alias or name for name, field in model.model_fields.items()} - {"warnings"})
    if unknown and model.model_config.get("extra") != "allow":
        yield f"{what} has {unknown[0]!r}, which {model.__name__} does not show"

"""The differential corpus: lane, ASGI door and plain uvicorn answer alike, but for the named differences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.http.corpus import BODY, CORPUS, GENTOO, Case, request
from tests.http.exchange import Answer, Connection, Exchange, exchange

pytestmark = pytest.mark.xdist_group("doors")
"""The three servers are started once, whatever the number of test processes."""

VARYING = {"date", "server", "x-request-id"}
"""Headers whose values differ from answer to answer, or tell the servers apart."""
REQUEST_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def play(port: int, case: Case) -> Exchange:
    finals = sum(status >= 200 for status in case.statuses)
    return exchange(port, case.steps, answers=finals, methods=case.methods)


def comparable(answer: Answer) -> tuple[int, frozenset[tuple[str, str]], bytes]:
    """Return what must be equal in any two servers' answers: status, headers and body without what always varies."""
    headers = frozenset((name, "" if name in VARYING else value) for name, value in answer.headers if name != "server")
    return answer.status, headers, without_ids(answer.body)


def without_ids(body: bytes) -> bytes:
    """Return a body with every UUID in it replaced by the same text."""
    return REQUEST_ID.sub(b"an id", body)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_all_servers_answer_alike(case: Case, doors: Mapping[str, int]) -> None:
    """Every case gets the declared statuses, headers, bodies and end of connection from each server."""
    lane, asgi, plain = (play(doors[door], case) for door in ("lane", "asgi", "plain"))

    assert lane.statuses == case.statuses
    assert lane.closed is case.closed
    assert asgi.statuses == case.statuses
    assert asgi.closed is case.closed
    assert [comparable(answer) for answer in asgi.answers] == [comparable(answer) for answer in lane.answers]
    if not case.difference:
        assert plain.closed is case.closed
        assert [comparable(answer) for answer in plain.answers] == [comparable(answer) for answer in lane.answers]
    elif case.plain is not None:
        assert plain.statuses == case.plain, "plain uvicorn has changed: is this still a difference?"


@pytest.mark.parametrize("door", ["lane", "asgi", "plain"])
def test_a_request_cut_anywhere_is_answered(door: str, doors: Mapping[str, int]) -> None:
    """Wherever the network cuts a request in two, the answer is the same."""
    whole = request()
    with Connection(doors[door]) as connection:
        bodies = set()
        for cut in range(1, len(whole)):
            connection.send(whole[:cut])
            connection.send(whole[cut:])
            answer = connection.read_answer()
            assert answer is not None
            assert answer.status == 200, f"cut after byte {cut}"
            bodies.add(without_ids(answer.body))
    assert len(bodies) == 1


@pytest.mark.parametrize("door", ["lane", "asgi", "plain"])
def test_ten_thousand_requests_on_one_connection(door: str, doors: Mapping[str, int]) -> None:
    """One keep-alive connection carries 10,000 predictions, each answered in its turn and none mixed up."""
    pair = request() + request(GENTOO)
    with Connection(doors[door]) as connection:
        first, second = (
            without_ids(exchange(doors[door], [request(body)], answers=1).answers[0].body) for body in (BODY, GENTOO)
        )
        for _ in range(10_000 // 20):
            connection.send(pair * 10)
            answers = [connection.read_answer() for _ in range(20)]
            assert [without_ids(answer.body) if answer else None for answer in answers] == [first, second] * 10


@pytest.mark.parametrize("door", ["lane", "asgi"])
def test_a_refused_upload_hears_why(door: str, doors: Mapping[str, int]) -> None:
    """A client that is still sending a body that is too large reads the refusal, not a reset connection."""
    with Connection(doors[door]) as connection:
        connection.send(request(b"", length="50000000"))
        for _ in range(100):
            connection.send(b" " * 100_000)
        answer = connection.read_answer()
        assert answer is not None
        assert answer.status == 413


def test_the_differences_are_documented(repository: Path) -> None:
    """Every difference from plain uvicorn that the corpus names stands in the architecture's table of them."""
    page = (repository / "docs" / "architecture" / "04-request-journey.md").read_text()
    missing = {case.difference for case in CORPUS if case.difference and case.difference not in page}
    assert not missing

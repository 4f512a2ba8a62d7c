"""The lane answers every request of a connection once, in order, whichever door each takes."""

from __future__ import annotations

import json
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving.lane.server import LaneServer, Reader, request, running, wait_until


def answers(reader: Reader, count: int) -> list[str]:
    """Return what `count` responses echoed, with the door each went by."""
    result = []
    for _ in range(count):
        status, _, body = reader.read()
        assert status == 200
        document = json.loads(body)
        result.append(f"lane {document['lane']}" if "lane" in document else f"asgi {document['asgi']}")
    return result


def test_plain_predictions_take_the_lane_and_carry_the_head_of_every_response() -> None:
    with running() as server, server.connect() as connection:
        connection.sendall(request("/predict", b"1", headers="X-Request-ID: mine-7\r\n"))
        status, headers, body = Reader(connection).read()
    assert (status, json.loads(body)["lane"]) == (200, "1")
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == "mine-7"
    assert headers["date"].endswith("GMT")


def test_thousands_of_pipelined_requests_are_answered_in_order() -> None:
    with running() as server, server.connect() as connection:
        count = 3000
        connection.sendall(b"".join(request("/predict", b"%d" % number) for number in range(count)))
        assert answers(Reader(connection), count) == [f"lane {number}" for number in range(count)]
        assert max(server.mount.passes) <= 256


def test_hundreds_of_pipelined_requests_for_the_application_are_all_answered() -> None:
    with running() as server, server.connect() as connection:
        bodies = [b"%04d" % number + b"x" * 1000 for number in range(500)]
        sender = threading.Thread(target=connection.sendall, args=(b"".join(request("/plain", b) for b in bodies),))
        sender.start()
        assert answers(Reader(connection), len(bodies)) == [f"asgi {body.decode()}" for body in bodies]
        sender.join()


def test_no_door_overtakes_the_other_on_one_connection() -> None:
    with running() as server, server.connect() as connection:
        parts = [
            request("/predict", b"1"),
            request("/slow", b"2"),
            request("/predict", b"3"),
            request("/other", b"4"),
            request("/plain", b"5"),
            request("/predict", b"6"),
        ]
        connection.sendall(b"".join(parts))
        doors = answers(Reader(connection), 6)
        assert [door.split()[1] for door in doors] == ["1", "2", "3", "4", "5", "6"]
        assert doors[0] == "lane 1"


def test_two_services_pipelined_on_one_connection_keep_their_order() -> None:
    with running() as server, server.connect() as connection:
        paths = ["/predict", "/other", "/other", "/predict", "/other"] * 20
        connection.sendall(b"".join(request(path, b"%d" % at) for at, path in enumerate(paths)))
        assert answers(Reader(connection), 100) == [f"lane {at}" for at in range(100)]


def test_requests_split_at_every_byte_are_answered_alike(lane_server: LaneServer) -> None:
    data = request("/predict", b"abc", headers="X-Request-ID: r1\r\n")
    for cut in range(1, len(data)):
        with lane_server.connect() as connection:
            connection.sendall(data[:cut])
            wait_until(lambda: lane_server.connections >= 1)
            connection.sendall(data[cut:])
            assert answers(Reader(connection), 1) == ["lane abc"]


@settings(max_examples=40, deadline=None)
@given(
    paths=st.lists(st.sampled_from(["/predict", "/other", "/plain"]), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 400), max_size=12),
)
def test_any_mix_of_doors_in_any_pieces_is_answered_in_order(
    lane_server: LaneServer, paths: list[str], cuts: list[int]
) -> None:
    data = b"".join(request(path, b"%d" % at) for at, path in enumerate(paths))
    with lane_server.connect() as connection:
        for cut in cuts:
            connection.sendall(data[:cut])
            data = data[cut:]
        connection.sendall(data)
        doors = answers(Reader(connection), len(paths))
    assert [int(door.split()[1]) for door in doors] == list(range(len(paths)))


def test_a_crashing_pass_answers_500_to_its_own_calls_and_the_connection_lives_on() -> None:
    with running() as server, server.connect() as connection:
        reader = Reader(connection)
        connection.sendall(request("/predict", b"crash") + request("/other", b"fine"))
        assert reader.read()[0] == 500
        assert reader.read()[0] == 200
        connection.sendall(request("/predict", b"none"))
        assert reader.read()[0] == 500
        connection.sendall(request("/predict", b"again"))
        assert reader.read()[0] == 200


def test_a_heavy_model_goes_by_the_application() -> None:
    with running() as server, server.connect() as connection:
        server.mount.is_light = False
        connection.sendall(request("/predict", b"1"))
        assert answers(Reader(connection), 1) == ["asgi 1"]


def test_requests_that_are_not_plain_go_by_the_application() -> None:
    odd = [
        request("/predict", b"1", headers="Expect: 100-continue\r\n"),
        request("/predict", b"1", headers="Content-Encoding: gzip\r\n"),
        request("/predict?x=1", b"1"),
        request("/predict", b"1", method="PUT"),
        request("/predict", b"1", headers="X-A: 1\r\nX-A: 2\r\n"),
        request("/predict", b"1", headers="Origin: http://elsewhere\r\n"),
        request("/predict", b"1" * 70_000),
        b"POST /predict HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n1",
    ]
    with running() as server:
        for data in odd:
            with server.connect() as connection:
                connection.sendall(data)
                reader = Reader(connection)
                status, _, body = reader.read()
                if status == 100:
                    status, _, body = reader.read()
                assert status == 200, data[:80]
                assert "asgi" in json.loads(body), data[:80]

"""Connections end as HTTP says: by the client's wish, by a deadline, by a refusal, or when the server stops."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress

import pytest

from rookery.serving.lane import Deadlines
from tests.serving.lane.server import LaneServer, Reader, request, running, wait_until


def test_connection_close_is_honoured_and_what_follows_is_ignored(lane_server: LaneServer) -> None:
    with lane_server.connect() as connection:
        connection.sendall(request("/predict", b"1", headers="Connection: close\r\n") + request("/predict", b"2"))
        reader = Reader(connection)
        status, headers, body = reader.read()
        assert (status, headers["connection"], json.loads(body)["lane"]) == (200, "close", "1")
        assert reader.at_end()


def test_http_1_0_is_answered_and_closed(lane_server: LaneServer) -> None:
    with lane_server.connect() as connection:
        connection.sendall(request("/predict", b"1", version="1.0"))
        reader = Reader(connection)
        assert reader.read()[0] == 200
        assert reader.at_end()


@pytest.mark.parametrize("path", ["/predict", "/slow"])
def test_a_client_that_stops_sending_still_gets_its_answer(lane_server: LaneServer, path: str) -> None:
    with lane_server.connect() as connection:
        connection.sendall(request(path, b"1"))
        connection.shutdown(socket.SHUT_WR)
        reader = Reader(connection)
        assert reader.read()[0] == 200
        assert reader.at_end()


REFUSED = {
    "no Host": b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\n\r\n1",
    "two Hosts": b"POST /predict HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 1\r\n\r\n1",
    "gzip, chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
    "both framings": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
    "bad length": b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "strange target": b"POST \xff\xfe HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_or_broken_requests_get_400_and_the_connection_closes(lane_server: LaneServer, name: str) -> None:
    with lane_server.connect() as connection:
        connection.sendall(REFUSED[name])
        reader = Reader(connection)
        status, headers, _ = reader.read()
        assert (status, headers["connection"]) == (400, "close")
        assert reader.at_end()


@pytest.mark.parametrize("path", ["/predict", "/plain"])
def test_headers_over_16_kilobytes_get_431(lane_server: LaneServer, path: str) -> None:
    with lane_server.connect() as connection:
        connection.sendall(request(path, b"1", headers="".join(f"X-{n}: {'y' * 1000}\r\n" for n in range(40))))
        assert Reader(connection).read()[0] == 431


def test_an_endless_header_line_gets_431_without_its_end(lane_server: LaneServer) -> None:
    with lane_server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nX-Long: ")
        for _ in range(6):
            connection.sendall(b"z" * 4096)
        assert Reader(connection).read()[0] == 431


def test_a_refusal_does_not_overtake_the_answers_that_are_due(lane_server: LaneServer) -> None:
    for path in ("/predict", "/slow"):
        with lane_server.connect() as connection:
            connection.sendall(request(path, b"1") + b"rubbish \x00\r\n\r\n")
            reader = Reader(connection)
            assert [reader.read()[0], reader.read()[0]] == [200, 400]
            assert reader.at_end()


def test_a_broken_chunk_of_a_body_the_application_waits_for_gets_400(lane_server: LaneServer) -> None:
    with lane_server.connect() as connection:
        connection.sendall(b"POST /plain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert Reader(connection).read()[0] == 400


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),
        (b"POST /predict HTTP/1.1\r\nHost: a\r\n", 408),
        (b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12", 408),
        (request("/predict", b"1"), 200),
    ],
    ids=["silent", "headers", "body", "idle after an answer"],
)
def test_connections_that_outstay_a_deadline_are_closed(sent: bytes, status: int | None) -> None:
    short = Deadlines(header=0.2, body=0.2, idle=0.2, linger=0.2)
    with running(short) as server, server.connect() as connection:
        connection.sendall(sent)
        reader = Reader(connection)
        if status is not None:
            assert reader.read()[0] == status
        assert reader.at_end()
        wait_until(lambda: server.connections == 0)


def test_a_client_that_does_not_read_is_not_read_from_and_is_cut_off() -> None:
    with running(Deadlines(unread=0.2)) as server, server.connect() as connection:
        server.mount.reply_bytes = 100_000
        connection.settimeout(0.5)
        sent = 0
        with suppress(TimeoutError, ConnectionError):
            while sent < 200_000_000:
                sent += connection.send(request("/predict", b"1" * 1000) * 50)
        assert sent < 200_000_000, "the server read on although nobody read its answers"
        answered = sum(server.mount.passes)
        assert answered * 100_000 < 100_000_000, "the server answered into the void without bound"
        wait_until(lambda: server.connections == 0)


def test_a_slow_reader_gets_every_answer() -> None:
    with running() as server, server.connect() as connection:
        server.mount.reply_bytes = 50_000
        count = 400
        sender = threading.Thread(
            target=connection.sendall, args=(b"".join(request("/predict", b"%d" % n) for n in range(count)),)
        )
        sender.start()
        reader = Reader(connection)
        assert [json.loads(reader.read()[2])["lane"] for _ in range(count)] == [str(n) for n in range(count)]
        sender.join()


def test_vanished_clients_leave_nothing_behind() -> None:
    with running() as server:
        for cut in (10, 60, 110, 10_000):
            for _ in range(50):
                connection = server.connect()
                connection.sendall(request("/predict", b"12345")[:cut])
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                connection.close()
        wait_until(lambda: server.connections == 0)
        with server.connect() as connection:
            connection.sendall(request("/predict", b"1"))
            assert Reader(connection).read()[0] == 200


@pytest.mark.parametrize("path", ["/predict", "/plain"])
def test_a_half_received_request_survives_the_servers_stop(path: str) -> None:
    with running() as server, server.connect() as connection:
        data = request(path, b"12345")
        connection.sendall(data[:-3])
        wait_until(lambda: server.connections == 1)
        server.server.should_exit = True
        wait_until(lambda: not server.server.servers[0].is_serving())
        connection.sendall(data[-3:])
        reader = Reader(connection)
        status, headers, _ = reader.read()
        assert (status, headers["connection"]) == (200, "close")
        assert reader.at_end()


def test_a_slow_answer_survives_the_servers_stop() -> None:
    with running() as server, server.connect() as connection:
        connection.sendall(request("/slow", b"1"))
        wait_until(lambda: len(server.server.server_state.tasks) == 1)
        server.server.should_exit = True
        assert Reader(connection).read()[0] == 200


def test_an_idle_connection_may_send_one_more_request_while_the_server_stops() -> None:
    with running(Deadlines(drain=2.0)) as server, server.connect() as connection:
        reader = Reader(connection)
        connection.sendall(request("/predict", b"1"))
        reader.read()
        server.server.should_exit = True
        wait_until(lambda: not server.server.servers[0].is_serving())
        connection.sendall(request("/predict", b"2"))
        status, headers, _ = reader.read()
        assert (status, headers["connection"]) == (200, "close")


def test_the_concurrency_limit_holds_for_the_lane() -> None:
    with running(limit_concurrency=2) as server:
        first, second = server.connect(), server.connect()
        wait_until(lambda: server.connections == 2)
        second.sendall(request("/predict", b"1"))
        assert Reader(second).read()[0] == 503
        first.close()
        second.close()

from __future__ import annotations

import os
import socket

import pytest

from rookery.errors import ServeError
from rookery.supervisor.binding import check_binding, is_loopback, open_socket, port_owner


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert is_loopback(host)
    check_binding(host, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"])
def test_other_addresses_are_refused_without_keys_unless_insisted_on(host: str) -> None:
    with pytest.raises(ServeError, match="--insecure"):
        check_binding(host, insecure=False)
    check_binding(host, insecure=True)
    check_binding(host, insecure=False, has_keys=True)


def test_a_socket_on_port_0_gets_a_free_port_and_takes_connections() -> None:
    with open_socket("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname(), timeout=5):
            pass
        assert listener.getblocking() is False


def test_a_taken_port_is_refused_with_the_process_that_has_it() -> None:
    with open_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert port_owner(port).startswith(f"process {os.getpid()} (")
        with pytest.raises(ServeError, match=rf"port {port} of 127\.0\.0\.1 is taken by process {os.getpid()}"):
            open_socket("127.0.0.1", port)
    assert port_owner(port) == ""


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused_in_words(host: str) -> None:
    with pytest.raises(ServeError, match="Try --host") as caught:
        open_socket(host, 0)
    assert host in str(caught.value)

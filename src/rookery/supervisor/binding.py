"""The listening socket: who may be let in, and whether the port is free."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from pathlib import Path

from rookery.errors import ServeError

BACKLOG = 2048


def check_binding(host: str, *, insecure: bool, has_keys: bool = False) -> None:
    """Refuse to listen beyond this machine without keys, unless `insecure` insists.

    Raises:
        ServeError: strangers on the network could call the server.
    """
    if insecure or has_keys or is_loopback(host):
        return
    raise ServeError(
        f"{host} can be reached from other machines, and there are no keys",
        cure="Listen on 127.0.0.1, or insist with --insecure (or ROOKERY_INSECURE=1) on a private network",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name counts if all it resolves to does."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host` and `port` (0: a free one), to be shared by all workers.

    Raises:
        ServeError: the address is no one of this machine's, the port is taken (it says by whom, where that can be
            told) or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ServeError(f"host {host!r} is no address: {error.strerror}", cure="Try --host 127.0.0.1") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _explain(error, host, port) from error
    listener.setblocking(False)
    return listener


def _explain(error: OSError, host: str, port: int) -> ServeError:
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(port)
        return ServeError(
            f"port {port} of {host} is taken" + (f" by {owner}" if owner else ""),
            cure="Stop that server, or choose another port with --port (0 takes a free one)",
        )
    if error.errno == errno.EACCES:
        return ServeError(f"port {port} may not be opened by this user", cure="Choose a port above 1023 with --port")
    return ServeError(f"cannot listen on {host}:{port}: {error.strerror}", cure="Try --host 127.0.0.1")


def port_owner(port: int) -> str:
    """Return which process listens on a TCP port, as `process 123 (command)`; empty where that cannot be told."""
    sockets = _listening_sockets(port)
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        if not sockets.isdisjoint(_open_files(process)):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            return f"process {process.name} ({command[:80]})"
    return ""


def _open_files(process: Path) -> set[str]:
    """Return what a process's descriptors lead to, as far as this user may know."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(entry))  # noqa: PTH115 - a socket's name is no path
    return found


def _listening_sockets(port: int) -> set[str]:
    """Return the sockets that listen on a port, as the links in `/proc/<pid>/fd` name them."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for columns in (line.split() for line in lines):
            if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{columns[9]}]")
    return found

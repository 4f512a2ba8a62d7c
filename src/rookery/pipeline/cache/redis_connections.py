"""`RedisConnections`: a bounded number of connections on which a command takes its time-out at the most."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from rookery.errors import SettingError

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

CONNECTIONS = 8


class RedisConnections:
    """Connections to one Redis, made when they are needed and reused.

    Not redis-py's own pool: that one awaits locks when it takes a connection back, and a time-out that falls into
    such a moment leaves the pool one connection poorer for good. Here all bookkeeping happens between two awaits.
    """

    def __init__(self, url: str, *, timeout: float, limit: int = CONNECTIONS) -> None:
        """Prepare connections to `url`; nothing is sent yet.

        Raises:
            SettingError: redis-py is not installed, or does not understand the URL.
        """
        self._timeout = timeout
        self._kind, self._options, self.refusal = _connection_factory(url, timeout)
        self._free = asyncio.Semaphore(limit)
        self._idle: list[AbstractConnection] = []
        self._closed = False

    async def ask(self, *command: str | bytes | int) -> Any:
        """Send one command and return its reply; waiting for a connection and connecting are part of the time-out.

        Raises:
            TimeoutError: the time-out has passed.
            redis.exceptions.RedisError: Redis refused, or what answers is no Redis.
        """
        async with asyncio.timeout(self._timeout), self._free:
            connection = await self._take()
            reusable = False
            try:
                await connection.send_command(*command)  # connects first, if need be
                reply = await connection.read_response()
                reusable = True
            except self.refusal:
                # A refusal is an answer: the connection is as good as before, unless it was refused itself.
                reusable = bool(connection.is_connected)
                raise
            finally:
                if reusable and not self._closed:
                    self._idle.append(connection)
                else:
                    # A connection whose answer did not come would give it to the next command.
                    await connection.disconnect(nowait=True)
            return reply

    async def close(self) -> None:
        """End the idle connections now, and those in use when they come back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    async def _take(self) -> AbstractConnection:
        while self._idle:
            connection = self._idle.pop()
            # Nothing may be there to read before a command is sent: it would be the end, or nobody's answer.
            if not await connection.can_read():
                return connection
            await connection.disconnect(nowait=True)
        return self._kind(**self._options)


def _connection_factory(url: str, timeout: float) -> tuple[type[AbstractConnection], dict[str, Any], type[Exception]]:
    """Return redis-py's class of connections for a URL, its arguments, and the class of refusing replies.

    redis-py is imported here, by those who use Redis, and before requests are answered: it takes 0.1 s.
    """
    try:
        from redis._parsers import _AsyncRESP2Parser
        from redis.asyncio.connection import Connection, parse_url
        from redis.exceptions import ResponseError
    except ImportError as error:
        raise SettingError(
            f"redis_url is set but redis-py cannot be used: {error}", cure="pip install 'rookery[redis]'"
        ) from error
    try:
        options: dict[str, Any] = dict(parse_url(url))
        kind: type[AbstractConnection] = options.pop("connection_class", Connection)
        options.pop("max_connections", None)
        options |= {
            "decode_responses": False,
            # No greeting: it would cost a first command round trips and a restricted user permissions.
            "protocol": 2,
            # hiredis makes room for a list as soon as its length is announced: 13 bytes from something that is no
            # Redis cost 17 GB of addresses and 20 s to free them. For single values both are equally fast.
            "parser_class": _AsyncRESP2Parser,
            "driver_info": None,
            # One time-out around everything: redis-py's own would start a task for every command that is sent.
            "socket_timeout": None,
            "socket_connect_timeout": timeout,
            "retry": None,
            "retry_on_timeout": False,
            "retry_on_error": [],
            "health_check_interval": 0,
        }
        kind(**options)
    except Exception as error:
        # Its message may quote the URL, password and all.
        raise SettingError(
            f"redis_url is no URL that redis-py understands ({type(error).__name__})",
            cure="For example redis://user:password@host:6379/0",
        ) from None
    return kind, options, ResponseError

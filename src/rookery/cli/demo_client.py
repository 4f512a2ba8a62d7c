"""What `rookery demo` asks a running server, by the standard library's HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from rookery.errors import RequestError, ServeError

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and how long it took from the first byte sent to the last one received."""

    values: dict[str, Any]
    seconds: float
    cache: str | None
    """What `X-Cache` said; None where answers are not cached."""


class DemoClient:
    """One connection to one service of a server."""

    def __init__(self, url: str, service: str) -> None:
        """Find the service, below its name or alone at the root.

        Raises:
            ServeError: nobody answers at the URL, or another service does.
        """
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._url, self._root = url, parts.path.rstrip("/")
        self._connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        self.service = service
        self._prefix = self._find_prefix()

    def _find_prefix(self) -> str:
        for prefix in (f"{self._root}/{self.service}", self._root):
            status, _, body = self._request("GET", f"{prefix}/health")
            if status in (200, 503) and json.loads(body).get("service") == self.service:
                if status == 503:
                    raise ServeError(f"{self.service} cannot answer: {json.loads(body)['reason']}")
                return prefix
        raise ServeError(
            f"there is no service {self.service!r} at {self._url}", cure=f"Start it: `rookery serve {self.service}`"
        )

    def ask(self, data: bytes, parameters: Mapping[str, object]) -> Answer:
        """Send a picture as the body itself.

        Raises:
            RequestError: the server refuses it; the message is the server's.
            ServeError: the connection broke.
        """
        query = f"?{urlencode(parameters)}" if parameters else ""
        start = time.perf_counter()
        status, headers, body = self._request("POST", f"{self._prefix}/predict{query}", data)
        seconds = time.perf_counter() - start
        values = json.loads(body)
        if status != 200:
            raise RequestError(f"{self.service} answered {status}: {values.get('detail')}")
        return Answer(values, seconds, headers.get("x-cache"))

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        headers = {} if body is None else {"Content-Type": "application/octet-stream"}
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return response.status, named, response.read()
        except (OSError, HTTPException) as error:
            raise ServeError(
                f"nobody answers at {self._url} ({error})", cure=f"Start a server: `rookery serve {self.service}`"
            ) from error

"""What the Locust files share: users that send one service's requests as fast as they are answered.

Locust runs in an environment of its own, without Rookery: this module imports nothing but Locust and the standard
library.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant, task

SERVICE_PREFIX = os.environ.get("LOADTEST_PREFIX", "")
"""Where the service is mounted: `/penguins` on a server with several, nothing on one with a single service."""
PICTURES = Path(os.environ.get("LOADTEST_PICTURES", "."))
"""A folder of pictures; the runner fills one."""


class ServiceUser(FastHttpUser):
    """A user without a pause; an answer that is not 200 is a failure."""

    abstract = True
    wait_time = constant(0)
    path = "/predict"

    def next_body(self) -> tuple[bytes, str]:
        """Return the next request's body and content type."""
        raise NotImplementedError("a load test's user says what it sends")

    @task
    def predict(self) -> None:
        """Ask for one prediction."""
        body, kind = self.next_body()
        path = SERVICE_PREFIX + self.path
        with self.client.post(path, data=body, headers={"Content-Type": kind}, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}: {(response.text or '')[:100]}")


def rows_user(make_row: Callable[[random.Random], dict[str, Any]]) -> type[ServiceUser]:
    """Return a user that sends rows, each another one."""

    class RowsUser(ServiceUser):
        abstract = True
        chance = random.Random(7)

        def next_body(self) -> tuple[bytes, str]:
            return json.dumps(make_row(self.chance)).encode(), "application/json"

    return RowsUser


def pictures_user(*, path: str = "/predict", repeated: float = 0.0) -> type[ServiceUser]:
    """Return a user that sends pictures of the folder; `repeated` of them are always the same one."""
    files: Sequence[bytes] = [file.read_bytes() for file in sorted(PICTURES.glob("*.*"))]

    class PicturesUser(ServiceUser):
        abstract = True
        chance = random.Random(7)

        def next_body(self) -> tuple[bytes, str]:
            chosen = files[0] if self.chance.random() < repeated else self.chance.choice(files)
            return chosen, "application/octet-stream"

    PicturesUser.path = path
    return PicturesUser

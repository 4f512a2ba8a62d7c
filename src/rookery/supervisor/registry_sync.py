"""The look at the registry that a starting server takes, in a child process and without waiting for it.

A server begins with what its home folder holds. If the registry has moved on meanwhile, the traffic files change and
the workers follow; if it does not answer, serving goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rookery.settings import Settings

TIMEOUT_SECONDS = 300.0


def may_synchronise(settings: Settings) -> bool:
    """Whether there is a registry to ask: a tracking server, or an embedded one that something was trained into."""
    return settings.tracking_uri is not None or (settings.home / "registry").is_dir()


def synchronise_in_background(settings: Settings, services: Sequence[str], tell: Callable[..., None]) -> None:
    """Start a synchronisation; what goes wrong in it is told, and harms nobody."""
    threading.Thread(target=_synchronise, args=(settings, services, tell), daemon=True, name="registry sync").start()


def _synchronise(settings: Settings, services: Sequence[str], tell: Callable[..., None]) -> None:
    environment = dict(os.environ)
    if settings.tracking_uri is not None:
        environment["ROOKERY_TRACKING_URI"] = settings.tracking_uri
    try:
        child = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", "rookery.registry.sync", "--home", str(settings.home), *services],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
        reason = answer["error"]["message"] if "error" in answer else ""
    except (OSError, subprocess.TimeoutExpired, ValueError, LookupError) as error:
        reason = str(error)
    if reason:
        tell("warning", "Registry not read; what is loaded goes on serving", reason=reason)

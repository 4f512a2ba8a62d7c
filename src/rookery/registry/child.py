"""`sync_in_child`: a synchronisation in a process of its own, for callers that must stay small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rookery.errors import RegistryError, RegistryUnavailable, VersionNotFound
from rookery.registry.report import SyncReport, report_from_json

CHILD_TIMEOUT = 300.0
"""Seconds after which a child that still waits for its registry is ended."""


def sync_in_child(
    home: Path,
    services: Sequence[str] | None = None,
    *,
    tracking_uri: str | None = None,
    timeout: float = CHILD_TIMEOUT,
) -> SyncReport:
    """Run `sync` in a child process of this interpreter; `tracking_uri` None: as the environment says.

    Raises:
        RegistryUnavailable: the registry does not answer sensibly, or not within `timeout` seconds.
        RegistryError: it refused, or the child could not do its work; the message says why.
    """
    environment = dict(os.environ)
    if tracking_uri is not None:
        # By the environment, not the command line: it may hold a password, and everybody may read command lines.
        environment["ROOKERY_TRACKING_URI"] = tracking_uri
    command = [
        sys.executable,
        "-P",
        "-m",
        "rookery.registry.sync",
        "--home",
        str(home.absolute()),
        "--",
        *(services or ()),
    ]
    try:
        child = subprocess.run(  # noqa: S603 -- this very interpreter and module
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RegistryUnavailable(
            f"the registry did not let itself be read within {timeout:g} s", cure="Check the registry and the network"
        ) from error
    return _read_answer(child)


def _read_answer(child: subprocess.CompletedProcess[str]) -> SyncReport:
    """Return the report that a child printed, or raise the error that it did."""
    lines = child.stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else {}
        if "report" in answer:
            return report_from_json(answer["report"])
        fault = answer["error"]
        kind, message, cure = str(fault["kind"]), str(fault["message"]), str(fault["cure"])
    except (ValueError, KeyError, TypeError) as error:
        last = (child.stderr.strip().splitlines() or ["no output"])[-1][:300]
        raise RegistryError(f"the synchronisation's process ended with code {child.returncode}: {last}") from error
    kinds: dict[str, type[RegistryError]] = {
        kind.__name__: kind for kind in (RegistryUnavailable, VersionNotFound, RegistryError)
    }
    raise kinds.get(kind, RegistryError)(message, cure=cure)

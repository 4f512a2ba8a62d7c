"""The run folder: files of one run of one server, gone when it ends."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path


def make_run_folder(home: Path) -> Path:
    """Return a new folder for this run: `<home>/run/server-<pid>`, or a temporary one if the home is read-only.

    What servers left behind that were killed is removed first.
    """
    parent = home / "run"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(parent)
        folder = parent / f"server-{os.getpid()}"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "metrics").mkdir(parents=True)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="rookery-"))
        (folder / "metrics").mkdir()
    return folder


def clear_leftovers(parent: Path) -> None:
    """Remove the folders of servers that no longer run."""
    for folder in parent.glob("server-*"):
        pid = re.fullmatch(r"server-(\d+)", folder.name)
        if pid and not _is_running(int(pid[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

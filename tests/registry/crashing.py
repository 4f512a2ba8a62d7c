"""Registers a package once for every step of the way, and is killed there; run as a script of its own.

    python crashing.py PACKAGE HOME...       one home for every entry of `STEPS`, in their order

MLflow is imported once; each step happens in a forked process that ends by SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from rookery.registry.mlflow_client import open_client, sqlite_uri
from rookery.registry.mlflow_registry import MlflowRegistry

STEPS = [
    ("after", "create_registered_model"),
    ("after", "create_run"),
    ("amid", "log_artifacts"),
    ("after", "log_artifacts"),
    ("after", "create_model_version"),
    ("after", "set_model_version_tag"),
]
"""When, relative to which call of MLflow's client, the process is killed."""
COMPLETE_FROM = STEPS.index(("after", "set_model_version_tag"))
"""From this step on, the version is registered; before it, there is none."""


class KilledClient:
    """An MLflow client whose process dies at one of its calls."""

    def __init__(self, client: Any, when: str, method: str) -> None:
        self._client = client
        self._when = when
        self._method = method

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name != self._method:
            return call

        def die(*arguments: Any, **options: Any) -> None:
            if self._when == "amid":
                run, folder, target = arguments
                for file in sorted(Path(folder).iterdir())[:3]:
                    self._client.log_artifact(run, str(file), target)
            else:
                call(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        return die


def main(package: Path, homes: list[Path]) -> None:
    """Be killed at every step, each in its own home."""
    import mlflow.artifacts  # noqa: F401  (loaded once, before the forks)

    for (when, method), home in zip(STEPS, homes, strict=True):
        child = os.fork()
        if child == 0:
            folder = home / "registry"
            uri = sqlite_uri(folder / "mlflow.db")
            client = KilledClient(open_client(uri), when, method)
            MlflowRegistry(uri, folder / "artifacts", client=client).register(package)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"{when} {method}: the process was not killed but ended with {status}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])

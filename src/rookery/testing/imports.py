"""What a serving process has loaded, found out in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TRAINING_LIBRARIES = (
    "cv2",
    "lightgbm",
    "matplotlib",
    "mlflow",
    "onnx",
    "pandas",
    "scipy",
    "skl2onnx",
    "sklearn",
    "torch",
    "xgboost",
)

_SCRIPT = """
import json, sys
from pathlib import Path
from rookery.testing.client import LocalClient
directory, row = json.loads(sys.stdin.read())
with LocalClient(Path(directory)) as client:
    client.predict(row)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def training_libraries_of_a_server(package: Path, row: Mapping[str, Any]) -> list[str]:
    """Return the training libraries that a fresh process holds after it has answered `row` by a package.

    Raises:
        AssertionError: the process could not serve the package; the message holds what it printed.
    """
    done = subprocess.run(  # noqa: S603 - this interpreter, our own script
        [sys.executable, "-c", _SCRIPT],
        input=json.dumps([str(package), dict(row)]),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"a fresh process cannot serve the package: {done.stderr[-2000:]}")
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    return [name for name in TRAINING_LIBRARIES if name in loaded]

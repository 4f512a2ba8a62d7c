"""What a serving process has loaded, found out in a process of its own."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import packages_distributions
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
import base64, json, sys
from pathlib import Path
from rookery.service.discovery import load_service
from rookery.testing.client import LocalClient
order = json.loads(sys.stdin.read())
code = order["code"]
service = None if code is None else load_service(Path(code).parent, Path(code).name)
with LocalClient(Path(order["package"]), service=service) as client:
    if order["picture"] is None:
        client.predict(order["row"])
    else:
        client.predict_picture(base64.b64decode(order["picture"]))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def training_libraries_of_a_server(
    package: Path, request: Mapping[str, Any] | bytes, *, code: Path | None = None, libraries: Sequence[str] = ()
) -> list[str]:
    """Return the training libraries that a fresh process holds after it has answered a request by a package.

    Args:
        package: the package's folder.
        request: a row, or a picture's file.
        code: the folder of the service, where its own code answers.
        libraries: distributions that this code computes with, which it may load.

    Raises:
        AssertionError: the process could not serve the package; the message holds what it printed.
    """
    order: dict[str, Any] = {"package": str(package), "code": None if code is None else str(code), "picture": None}
    if isinstance(request, bytes):
        order["picture"] = base64.b64encode(request).decode()
    else:
        order["row"] = dict(request)
    done = subprocess.run(  # noqa: S603 - this interpreter, our own script
        [sys.executable, "-c", _SCRIPT],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"a fresh process cannot serve the package: {done.stderr[-2000:]}")
    loaded, owners = set(json.loads(done.stdout.splitlines()[-1])), packages_distributions() if libraries else {}
    return [name for name in TRAINING_LIBRARIES if name in loaded and not set(owners.get(name, ())) & set(libraries)]

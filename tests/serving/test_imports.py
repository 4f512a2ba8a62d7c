"""What a worker loads: nothing that trains, and nothing that only a rare request needs."""

from __future__ import annotations

import subprocess
import sys

TRAINING = {
    "mlflow",
    "sklearn",
    "scipy",
    "xgboost",
    "lightgbm",
    "onnx",
    "skl2onnx",
    "onnxmltools",
    "pandas",
    "matplotlib",
}
RARELY_NEEDED = {"fastapi", "httpx", "jinja2", "prometheus_client", "psutil", "structlog", "typer", "rich", "requests"}

PROGRAM = """
import sys
import rookery.serving.assemble, rookery.serving.protocol
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_worker_loads_no_training_library_and_nothing_before_its_time() -> None:
    loaded = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    assert "starlette" in loaded
    assert set(loaded) & (TRAINING | RARELY_NEEDED) == set()

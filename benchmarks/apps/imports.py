"""A constant application that imports the libraries a starting Rookery server loads, and does nothing with them."""

from __future__ import annotations

import google.protobuf.message  # noqa: F401
import msgspec  # noqa: F401
import numpy  # noqa: F401
import onnxruntime  # noqa: F401
import pydantic  # noqa: F401
import starlette.applications
import starlette.requests  # noqa: F401
import typer  # noqa: F401

from benchmarks.apps.constant import app

__all__ = ["app"]

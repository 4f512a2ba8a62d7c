"""A constant application that imports the libraries a starting Rookery server loads, and does nothing with them.

pydantic and protobuf load their parts when these are named, so the ones that a worker uses are named here.
"""

from __future__ import annotations

import msgspec  # noqa: F401
import numpy.typing  # noqa: F401
import onnxruntime  # noqa: F401
import starlette.applications
import starlette.requests  # noqa: F401
import typer  # noqa: F401
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: F401
from pydantic import BaseModel, RootModel  # noqa: F401

from benchmarks.apps.constant import app

__all__ = ["app"]

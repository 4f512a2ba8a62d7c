"""Rookery's application for plain uvicorn: the very routes and pipeline, behind uvicorn's own protocol class."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.types import ASGIApp

from rookery.testing.client import LocalClient


def make_application() -> ASGIApp:
    """Return the application over the package that `ROOKERY_PACKAGE` names; its lifespan has begun."""
    return LocalClient(Path(os.environ["ROOKERY_PACKAGE"])).application

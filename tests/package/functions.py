"""Small services whose own code answers, written into a folder and loaded from there."""

from __future__ import annotations

from pathlib import Path

from rookery.service.definition import Service
from rookery.service.discovery import load_service

CODE = """
from typing import Annotated

from pydantic import BaseModel, Field

from rookery import Image, Service


class Request(BaseModel):
    image: Annotated[bytes, Image(mode="L")]
    factor: float = Field(1.0, ge=0, le=10)


def brightness(picture, parameters):
    if parameters["factor"] == 9:
        raise RuntimeError("a secret of this code")
    return {"brightness": BODY}


service = Service(
    name="light", input=Request, function=brightness, libraries=("numpy",), respond=lambda p: dict(p.result)
)
"""
BODY = 'float(picture.mean()) * parameters["factor"]'


def write_function(folder: Path, body: str = BODY, code: str = CODE) -> Service:
    """Write the service `light` below a services folder, and load it; `body` is its answer."""
    file = folder / "light" / "service.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code.replace("BODY", body))
    return load_service(folder, "light")

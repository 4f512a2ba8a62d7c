"""`rookery new`: a complete, working service to begin from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from rookery.cli.output import print_note
from rookery.errors import DefinitionError

TEMPLATES = {"service.py.template": "service.py", "test_service.py.template": "test_service.py"}
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def new(name: Annotated[str, typer.Argument(help="The service's name, which becomes its URL's part.")]) -> None:
    """Make a folder with a complete service that can be trained and served as it is."""
    from rookery.settings import load_settings

    if not NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} cannot be a service's name",
            cure="Use lower-case letters, digits, '-' and '_', beginning with a letter, 63 at most",
        )
    folder = load_settings().services_folder / name
    written = write_service(folder, name)
    for path in written:
        print(path)
    shown = _relative(folder)
    print_note(f"\nNext: edit {shown}/service.py, or go on with it as it is:")
    print_note(f"  rookery train {name}\n  rookery serve {name}")


def write_service(folder: Path, name: str) -> list[Path]:
    """Write the files of a new service.

    Raises:
        DefinitionError: the folder exists, or cannot be written.
    """
    title = name.replace("_", " ").replace("-", " ").capitalize()
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise DefinitionError(f"{folder} exists already", cure="Choose another name, or remove that folder") from error
    except OSError as error:
        raise DefinitionError(f"{folder} cannot be made: {error.strerror}") from error
    written = []
    for template, target in TEMPLATES.items():
        text = Path(__file__).with_name("templates").joinpath(template).read_text(encoding="utf-8")
        path = folder / target
        path.write_text(text.format(name=name, title=title), encoding="utf-8")
        written.append(path)
    return written


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

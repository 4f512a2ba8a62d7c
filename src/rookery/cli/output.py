"""What commands print: tables and notes for persons, or nothing but JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]


def print_json(value: Any) -> None:
    """Print a value as strict, indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def print_note(text: str) -> None:
    """Tell a person something; on stderr, so that stdout holds results only."""
    print(text, file=sys.stderr, flush=True)


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console_on_stdout().print(table)


def console_on_stdout() -> Console:
    """Return where tables are printed; as wide as they are where nobody looks at them on a screen."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200)


def console_on_stderr() -> Console:
    """Return where progress is shown."""
    from rich.console import Console

    return Console(stderr=True)

"""Tables: what a benchmark found, for the terminal and for `RESULTS.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import rich.table
from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One question's answer: rows of ready texts, and what a reader must know of them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())


def make_console() -> Console:
    """Return the console to print on; one that is no terminal gets room for wide tables."""
    console = Console()
    return console if console.is_terminal else Console(width=180)


def print_table(console: Console, table: Table) -> None:
    """Show a table in the terminal."""
    shown = rich.table.Table(title=table.title, title_justify="left")
    for index, column in enumerate(table.columns):
        shown.add_column(column, justify="left" if index == 0 else "right")
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
    for note in table.notes:
        console.print(f"  {note}", style="dim", highlight=False)


def to_markdown(table: Table) -> str:
    """Return a table as Markdown."""
    lines = [
        f"## {table.title}",
        "",
        "| " + " | ".join(table.columns) + " |",
        "|" + "|".join(" --- " if index == 0 else " ---: " for index in range(len(table.columns))) + "|",
    ]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"

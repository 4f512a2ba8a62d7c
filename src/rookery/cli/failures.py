"""How a command fails: one clear line on stderr and an exit code that scripts can rely on."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from rookery.errors import (
    DataError,
    DefinitionError,
    DownloadError,
    GateError,
    PackageError,
    RegistryError,
    RequestError,
    RookeryError,
    ServeError,
    SettingError,
    TrainingError,
    VersionNotFound,
)

EXIT_CODES: Mapping[type[RookeryError], int] = {
    RookeryError: 1,
    SettingError: 3,
    DefinitionError: 4,
    DataError: 5,
    TrainingError: 6,
    GateError: 7,
    PackageError: 8,
    RegistryError: 9,
    VersionNotFound: 10,
    ServeError: 11,
    RequestError: 12,
    DownloadError: 13,
}
"""The exit code of every error; 2 is a wrong command line, 70 a fault of Rookery itself, 130 Ctrl-C."""

INTERNAL_FAULT = 70


def exit_code_of(error: RookeryError) -> int:
    """Return the exit code of an error: its own class's, or the nearest ancestor's."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


class CommandGroup(TyperGroup):
    """A group of commands whose errors become one line and an exit code; with `--debug` a traceback is shown, too."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RookeryError as error:
            _show_traceback(ctx)
            print(f"Error: {error}", file=sys.stderr)
            raise typer.Exit(exit_code_of(error)) from error
        except (typer.Exit, typer.Abort, BrokenPipeError, KeyboardInterrupt, EOFError):
            raise
        except Exception as error:
            if type(error).__module__.startswith("typer."):
                raise
            _show_traceback(ctx)
            hint = "" if _is_debugging(ctx) else " (`rookery --debug …` shows where)"
            print(f"Error: Rookery itself failed: {type(error).__name__}: {error}{hint}", file=sys.stderr)
            raise typer.Exit(INTERNAL_FAULT) from error


def _show_traceback(ctx: Any) -> None:
    if _is_debugging(ctx):
        traceback.print_exc()


def _is_debugging(ctx: Any) -> bool:
    root = ctx.find_root()
    return bool(root.params.get("debug")) or os.environ.get("ROOKERY_DEBUG", "").lower() in ("1", "true", "yes", "on")

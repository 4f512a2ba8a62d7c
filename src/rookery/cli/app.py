"""The command line. Commands load what they need when they run, so that `--help` is instant."""

from __future__ import annotations

from typing import Annotated

import typer

from rookery.cli import demo, doctor, models, new, package, predict, pull, serve, train, transfer
from rookery.cli.failures import CommandGroup

app = typer.Typer(
    name="rookery",
    cls=CommandGroup,
    help="From a dataset and a training recipe to a typed, versioned, proven prediction service.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"rookery {version('rookery')}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Read the options that come before a command."""


app.command("new")(new.new)
app.command("train")(train.train)
app.command("pull")(pull.pull)
app.command("serve")(serve.serve)
app.command("predict")(predict.predict)
app.command("demo")(demo.demo)
app.command("package")(package.package)
app.add_typer(models.group, name="models")
app.command("promote")(models.promote)
app.command("rollback")(models.rollback)
app.command("verify")(models.verify)
app.command("export")(transfer.export)
app.command("import")(transfer.import_)
app.command("sync")(transfer.sync)
app.command("doctor")(doctor.doctor)

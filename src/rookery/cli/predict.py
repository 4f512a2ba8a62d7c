"""`rookery predict`: answers without a server, by the very pipeline that a server has."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rookery.cli.output import JsonOption, print_json, print_note
from rookery.cli.tabular import read_bytes, read_rows
from rookery.errors import NotReady, RequestError
from rookery.settings import load_settings

if TYPE_CHECKING:
    from rookery.serving.mount import Mount

CALLS_AT_ONCE = 256


def predict(
    service: Annotated[
        str | None, typer.Argument(help="The service's name; with --package: the input.", metavar="[SERVICE]")
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="JSON, JSON lines, CSV or Parquet; pictures, one or more. - or left out: standard input.",
            metavar="[FILE]...",
        ),
    ] = None,
    package: Annotated[
        Path | None, typer.Option("--package", help="Ask this package folder, without registry.")
    ] = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter beside pictures: NAME=VALUE.", metavar="NAME=VALUE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a file's rows, or pictures, by the champion: JSON for one, CSV for many (or JSON with --json)."""
    sources = list(files or [])
    if package is not None and service is not None:
        sources.insert(0, service)
        service = None
    if (service is None) == (package is None):
        raise typer.BadParameter("name a service, or a folder with --package")
    mount = _open(service, package)
    if mount.takes_pictures:
        answers, is_single = _answer_pictures(mount, sources or ["-"], parameters or []), len(sources) < 2
    else:
        if len(sources) > 1 or parameters:
            raise typer.BadParameter("several files and --set are for services that take pictures")
        (source,) = sources or ["-"]
        name = "standard input" if source == "-" else source
        rows, is_single = read_rows(read_bytes(source), mount.contract.schema, name=name)
        answers = _answer(mount, rows)
    refused = [(number, answer) for number, (status, answer) in enumerate(answers, 1) if status != 200]
    if is_single and not refused:
        print_json(answers[0][1])
    elif as_json:
        print_json([answer for _, answer in answers])
    elif not is_single:
        _print_csv([answer for _, answer in answers])
    if refused:
        what = "picture" if mount.takes_pictures else "row"
        number, answer = refused[0]
        raise RequestError(
            f"{len(refused)} of {len(answers)} {what}s were refused, the first is {what} {number}: {_explain(answer)}"
        )


def _open(service: str | None, package: Path | None) -> Mount:
    from dataclasses import replace

    from rookery.serving.assemble import assemble
    from rookery.telemetry.accumulator import WorkerMetrics

    settings = replace(load_settings(), package=None if package is None else package.absolute())
    assembly = assemble(settings, services=[service] if service else (), metrics=WorkerMetrics("predict"))
    mount = assembly.mounts[0]
    if mount.version is None:
        raise NotReady(f"{mount.name} cannot answer: {mount.endpoint.reason}")
    if mount.endpoint.reason:
        print_note(f"Warning: {mount.endpoint.reason}")
    return mount


def _answer(mount: Mount, rows: Sequence[Any]) -> list[tuple[int, Any]]:
    """Return each row's status and answer; a row that is refused takes no other with it."""
    from rookery.pipeline.call import Call

    answers: list[tuple[int, Any]] = []
    for start in range(0, len(rows), CALLS_AT_ONCE):
        now = time.perf_counter()
        calls = [
            Call("single", json.dumps(row, default=str).encode(), now) for row in rows[start : start + CALLS_AT_ONCE]
        ]
        mount.answer_now(calls)
        answers += [(call.status, json.loads(call.payload or b"null")) for call in calls]
    return answers


def _answer_pictures(mount: Mount, sources: Sequence[str], parameters: Sequence[str]) -> list[tuple[int, Any]]:
    """Return each picture's status and answer."""
    from rookery.pipeline.call import PictureCall
    from rookery.pipeline.picture import Upload

    texts = []
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not equals:
            raise typer.BadParameter(f"{parameter!r} is no NAME=VALUE", param_hint="--set")
        texts.append((name, value))
    calls = [
        PictureCall("single", [Upload(Path(source).name, read_bytes(source))], texts, time.perf_counter())
        for source in sources
    ]
    for call in calls:
        mount.answer_now([call])
    return [(call.status, json.loads(call.payload or b"null")) for call in calls]


def _explain(answer: Any) -> str:
    detail = answer.get("detail") if isinstance(answer, dict) else None
    if isinstance(detail, list) and detail:
        place = ".".join(str(part) for part in detail[0]["loc"][1:])
        return f"{place}: {detail[0]['msg']}" if place else str(detail[0]["msg"])
    return str(detail)


def _print_csv(answers: Sequence[dict[str, Any]]) -> None:
    """Print answers as CSV: scalars as they are, everything else as JSON, refusals in a column `error`."""
    rows = [{"error": _explain(answer)} if "detail" in answer else answer for answer in answers]
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}
        )

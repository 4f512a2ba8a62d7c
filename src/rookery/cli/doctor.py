"""`rookery doctor`: what is wrong with this machine, home folder and services, and what cures it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from rookery.cli.output import JsonOption, print_json, print_note
from rookery.settings import load_settings

if TYPE_CHECKING:
    from rookery.cli.findings import Finding
    from rookery.settings import Settings

MARKS = {"ok": "ok     ", "warning": "warning", "wrong": "WRONG  "}


def doctor(as_json: JsonOption = False) -> None:
    """Look at machine, libraries, home folder, registry and services; exit 1 if something is wrong."""
    findings = []
    for finding in _look(load_settings()):
        findings.append(finding)
        if not as_json:
            print(f"{MARKS[finding.status]} {finding.area + ':':<10} {finding.name}: {finding.detail}", flush=True)
            if finding.cure:
                print(f"        -> {finding.cure}", flush=True)
    wrong = sum(finding.status == "wrong" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    if as_json:
        print_json({"ok": not wrong, "findings": [finding.to_json() for finding in findings]})
    else:
        print_note(f"{len(findings)} things looked at: {wrong} wrong, {warnings} to think about")
    if wrong:
        raise typer.Exit(1)


def _look(settings: Settings) -> Iterator[Finding]:
    from rookery.cli.check_home import check_home, check_registry, check_services
    from rookery.cli.check_machine import check_libraries, check_machine, check_server_settings

    yield from check_machine(settings)
    yield from check_libraries()
    yield from check_server_settings(settings)
    yield from check_home(settings)
    yield from check_registry(settings)
    yield from check_services(settings)

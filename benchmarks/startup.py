"""How long from the launch to the first answer, beside an application that only imports the same libraries?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.servers import Subject, running, uvicorn_command
from benchmarks.subjects import PREDICT, rookery_package
from benchmarks.table import Table


def measure_startup(package: Path, *, rounds: int = 7, say: Callable[[str], None] = print) -> list[Table]:
    """Start our server and the importing application in turns; the first round warms the disk and is left out."""
    subjects = [
        rookery_package(package, name="rookery serve --package, with its supervisor"),
        Subject(
            name="an app that imports the same libraries",
            command=uvicorn_command("benchmarks.apps.imports:app"),
            environment={},
            request=PREDICT,
        ),
    ]
    # As an installed package starts: its bytecode is there. With this variable set, as many containers have it, a
    # checkout would be compiled anew by every process.
    subjects = [
        replace(subject, environment={**subject.environment, "PYTHONDONTWRITEBYTECODE": ""}) for subject in subjects
    ]
    found: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for number in range(rounds + 1):
        for subject in subjects:
            with running(subject) as server:
                if number:
                    found[subject.name].append(server.startup_seconds)
        say(f"start-up: round {number} of {rounds}")
    base = median(found[subjects[1].name])
    rows = [
        [name, f"{median(times):.2f}", f"{min(times):.2f}–{max(times):.2f}", f"{median(times) / base:.2f}×"]
        for name, times in found.items()
    ]
    return [
        Table(
            title="From launch to the first 200",
            columns=["server", "seconds (median)", "range", "÷ importing app"],
            rows=rows,
        )
    ]

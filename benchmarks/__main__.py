"""All benchmarks, or some: `python -m benchmarks [throughput stages cpu startup memory batch images …] [--quick]`.

Prints the tables; a run of all of them also writes `benchmarks/RESULTS.md`. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.batch import measure_batch
from benchmarks.cpu import measure_cpu
from benchmarks.features import measure_features
from benchmarks.images import measure_images
from benchmarks.load import generator_name
from benchmarks.machine import describe_machine
from benchmarks.memory import measure_memory
from benchmarks.model import SEED, TREES
from benchmarks.neighbours import measure_neighbours
from benchmarks.prepare import prepare_home
from benchmarks.servers import ROOT
from benchmarks.stages import measure_stages
from benchmarks.startup import measure_startup
from benchmarks.subjects import compared_subjects
from benchmarks.table import Table, make_console, print_table, to_markdown
from benchmarks.throughput import measure_throughput, tabulate_throughput

RESULTS = ROOT / "benchmarks" / "RESULTS.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long to measure, and what."""

    home: Path
    package: Path
    folder: Path
    rounds: int
    seconds: float
    say: Callable[[str], None]


def throughput(plan: Plan) -> list[Table]:
    """Measure rates and latencies of one worker."""
    subjects = compared_subjects(package=plan.package, home=plan.home)
    return tabulate_throughput(measure_throughput(subjects, rounds=plan.rounds, seconds=plan.seconds, say=plan.say))


def stages(plan: Plan) -> list[Table]:
    """Measure each stage of the pipeline."""
    return measure_stages(plan.package, say=plan.say)


def cpu(plan: Plan) -> list[Table]:
    """Measure processor time per request."""
    return measure_cpu(plan.home, rounds=plan.rounds, seconds=plan.seconds, say=plan.say)


def startup(plan: Plan) -> list[Table]:
    """Measure the time to the first answer."""
    return measure_startup(plan.package, rounds=plan.rounds, say=plan.say)


def memory(plan: Plan) -> list[Table]:
    """Measure memory, with one model and with many."""
    return measure_memory(plan.package, plan.folder, rounds=plan.rounds, seconds=plan.seconds, say=plan.say)


def batch(plan: Plan) -> list[Table]:
    """Measure batches."""
    return measure_batch(plan.package, rounds=plan.rounds, seconds=plan.seconds, say=plan.say)


def images(plan: Plan) -> list[Table]:
    """Measure photographs, where there are weights."""
    return measure_images(plan.home, rounds=plan.rounds, seconds=plan.seconds, say=plan.say)


def features(plan: Plan) -> list[Table]:
    """Measure keypoints, computed and cached."""
    return measure_features(plan.home, plan.folder, rounds=plan.rounds, seconds=plan.seconds, say=plan.say)


def neighbours(plan: Plan) -> list[Table]:
    """Measure numbers beside photographs."""
    return measure_neighbours(plan.home, rounds=plan.rounds, seconds=plan.seconds, say=plan.say)


QUESTIONS: dict[str, Callable[[Plan], list[Table]]] = {
    question.__name__: question
    for question in (throughput, stages, cpu, startup, memory, batch, images, features, neighbours)
}


def main() -> None:
    """Read the arguments, prepare, measure, show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Rookery beside its alternatives")
    parser.add_argument("questions", nargs="*", help=f"from {', '.join(QUESTIONS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="two short rounds, to see that everything runs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each run")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "benchmarks", help="where trained state is kept"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.questions if name not in QUESTIONS]
    if unknown:
        parser.error(f"{unknown[0]!r} is no question; choose from {', '.join(QUESTIONS)}")
    console = make_console()
    folder: Path = arguments.folder.absolute()
    home, package = prepare_home(ROOT / "services", folder)
    plan = Plan(
        home=home,
        package=package,
        folder=folder,
        rounds=2 if arguments.quick else arguments.rounds,
        seconds=1.0 if arguments.quick else arguments.seconds,
        say=lambda line: console.print(line, style="dim"),
    )
    tables = []
    for name in arguments.questions or QUESTIONS:
        for table in QUESTIONS[name](plan):
            print_table(console, table)
            tables.append(table)
    if not arguments.questions and not arguments.quick:
        _write_results(tables, plan)
        console.print(f"Written to {RESULTS.relative_to(ROOT)}")


def _write_results(tables: list[Table], plan: Plan) -> None:
    machine = describe_machine(seed=SEED, generator=generator_name())
    head = [
        "# Results",
        "",
        "Made by `make bench`. All servers of a table were measured in turns on one machine; compare the ratios, not",
        f"the figures. The model is the penguins' XGBoost of {TREES} trees; every run lasted {plan.seconds:g} s.",
        "",
        *(f"- {line}" for line in machine),
        "",
    ]
    RESULTS.write_text("\n".join(head) + "\n" + "\n".join(to_markdown(table) for table in tables))


if __name__ == "__main__":
    main()

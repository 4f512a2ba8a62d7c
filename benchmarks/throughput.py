"""How many predictions a second does one worker answer, beside what a user would otherwise run?

Call: python -m benchmarks.throughput --package DIR [--quick]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.load import Run, run_load
from benchmarks.servers import Server, Subject, running
from benchmarks.subjects import CONSTANT, LANE, compared_subjects
from benchmarks.table import Table, make_console, print_table

CONNECTIONS = (1, 16, 64)

Runs = Mapping[tuple[str, int], list[Run]]


def measure_throughput(
    subjects: Sequence[Subject], *, rounds: int = 7, seconds: float = 3.0, say: Callable[[str], None] = print
) -> Runs:
    """Measure every subject in each round, so that a slow minute of the machine falls on all of them alike.

    The servers run side by side and are idle unless it is their turn. Where there are two cores and more, servers
    are held to the first and the load generator to the second.
    """
    cores = sorted(os.sched_getaffinity(0))
    server_cores, generator_cores = (cores[:1], cores[1:2]) if len(cores) > 1 else ((), ())
    runs: dict[tuple[str, int], list[Run]] = {}
    with ExitStack() as stack:
        servers: list[Server] = [stack.enter_context(running(subject, cores=server_cores)) for subject in subjects]
        for server in servers:
            run_load(server.port, server.subject.request, connections=16, seconds=1, cores=generator_cores)
        for number in range(1, rounds + 1):
            for connections in CONNECTIONS:
                for server in servers:
                    run = run_load(
                        server.port,
                        server.subject.request,
                        connections=connections,
                        seconds=seconds,
                        cores=generator_cores,
                    )
                    runs.setdefault((server.subject.name, connections), []).append(run)
            say(f"throughput: round {number} of {rounds}")
    return runs


def tabulate_throughput(runs: Runs, *, reference: str = CONSTANT, ours: str = LANE) -> list[Table]:
    """Return the table of rates and ratios, and the table of latencies."""
    names = list(dict.fromkeys(name for name, _ in runs))
    rates = {key: median(run.rate for run in found) for key, found in runs.items()}
    rows = []
    for name in names:
        cells = [name]
        for connections in CONNECTIONS:
            rate = rates[name, connections]
            cells += [f"{rate:,.0f}", f"{rates[ours, connections] / rate:.2f}×"]
        rows.append(cells)
    columns = ["server"]
    for connections in CONNECTIONS:
        columns += [f"req/s at {connections}", "Rookery ÷ this"]
    spread = max(
        (max(run.rate for run in found) - min(run.rate for run in found)) / rates[key] for key, found in runs.items()
    )
    rounds = len(next(iter(runs.values())))
    throughput = Table(
        title="Throughput of one worker, at 1, 16 and 64 connections",
        columns=columns,
        rows=rows,
        notes=[f"Medians of {rounds} interleaved rounds; widest spread of one cell: {spread:.0%} of its median"],
    )
    return [throughput, _tabulate_latency(runs, names, reference)]


def _tabulate_latency(runs: Runs, names: Sequence[str], reference: str) -> Table:
    def middle(name: str, connections: int, attribute: str) -> float:
        return median(float(getattr(run, attribute)) for run in runs[name, connections])

    rows = []
    for name in names:
        cells = [name]
        for connections in CONNECTIONS:
            cells += [f"{middle(name, connections, 'p50'):,.0f}", f"{middle(name, connections, 'p99'):,.0f}"]
        cells.append(f"{middle(name, 1, 'p50') - middle(reference, 1, 'p50'):+,.0f}")
        rows.append(cells)
    columns = ["server"]
    for connections in CONNECTIONS:
        columns += [f"p50 at {connections}", f"p99 at {connections}"]
    return Table(
        title="Latency of one worker under that load, in µs", columns=[*columns, "p50 − constant's, at 1"], rows=rows
    )


def main() -> None:
    """Measure one package on its own and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", type=Path, required=True, help="a package of the penguins service")
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", help="names, or parts of names, of the servers to compare")
    arguments = parser.parse_args()
    console = make_console()
    subjects = compared_subjects(package=arguments.package.resolve())
    if arguments.only:
        subjects = [subject for subject in subjects if any(part in subject.name for part in arguments.only)]
    if LANE not in {subject.name for subject in subjects}:
        parser.error(f"--only must leave {LANE!r} in the comparison")
    runs = measure_throughput(
        subjects,
        rounds=2 if arguments.quick else arguments.rounds,
        seconds=1 if arguments.quick else 3,
        say=console.print,
    )
    reference = CONSTANT if any(name == CONSTANT for name, _ in runs) else LANE
    for table in tabulate_throughput(runs, reference=reference):
        print_table(console, table)


if __name__ == "__main__":
    main()

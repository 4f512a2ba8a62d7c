"""How many instructions does each stage of the pipeline take for a call, and where are they spent?

Unlike times they do not depend on caches, on the clock or on what else the machine does, so that small changes show.
Needs valgrind. Call: python -m benchmarks.callgrind --package DIR
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from benchmarks.stages import STAGES, make_stages
from benchmarks.table import Table, make_console, print_table
from rookery.pipeline.call import Pass

Costs: TypeAlias = "Counter[tuple[str, str]]"
"""Instructions by (library, function), without those of the functions they call."""

SIZES = (1, 64)
CALLS = 640
"""So many calls are counted for each size."""
MARK = "getpgid"
"""A function of the C library that nothing else calls: where it is called, one stage ends."""
FUNCTIONS = 12
"""So many functions are listed for each size."""

_POSITION = re.compile(r"^(?:\d+|[+*-]\d*) (\d+)$")
_NAMED = re.compile(r"^(ob|fn)=\((\d+)\)(?: (.+))?$")
_PACKAGE = re.compile(r"/site-packages/([a-z]+)")


def count_instructions(package: Path) -> list[Table]:
    """Run passes of every size under callgrind; returns what each stage and what each function took."""
    stages: dict[int, list[Costs]] = {size: _profile(package, size) for size in SIZES}
    return [
        _tabulate_stages(stages),
        *(_tabulate_functions(size, sum(found, Counter())) for size, found in stages.items()),
    ]


def _profile(package: Path, size: int) -> list[Costs]:
    """Return the instructions of every stage by (library, function)."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        subprocess.run(
            [
                *("valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", f"--dump-before={MARK}"),
                *(sys.executable, "-m", "benchmarks.callgrind", "--package", str(package), "--size", str(size)),
            ],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        # The first dump is all that came before the stages, the last one all that came after them.
        return [_read_costs(Path(f"{output}.{number}")) for number in range(2, len(STAGES) + 2)]


def _read_costs(dump: Path) -> Costs:
    """Return a dump's instructions by (library, function), without those of the functions they call."""
    costs: Costs = Counter()
    names: dict[tuple[str, str], str] = {}
    current = {"ob": "", "fn": ""}
    lines = iter(dump.read_text(errors="replace").splitlines())
    for line in lines:
        if named := _NAMED.match(line):
            kind, number, name = named.groups()
            if name is not None:
                names[kind, number] = name
            current[kind] = names[kind, number]
        elif line.startswith(("cob=", "cfn=")):
            _note(names, line)
        elif line.startswith("calls="):
            next(lines)
        elif cost := _POSITION.match(line):
            costs[_library_of(current["ob"]), current["fn"]] += int(cost.group(1))
    return costs


def _note(names: dict[tuple[str, str], str], line: str) -> None:
    if (named := _NAMED.match(line[1:])) and named.group(3) is not None:
        names[named.group(1), named.group(2)] = named.group(3)


def _library_of(path: str) -> str:
    """Return the Python package that an object file belongs to, or whether it is Python's own or the system's."""
    package = _PACKAGE.search(path)
    if package is not None:
        return package.group(1)
    return "Python" if "python" in path else "system"


def _run_stages(package: Path, size: int) -> None:
    """Take all passes through the pipeline stage by stage, with a mark before, between and after."""
    stages, make_calls = make_stages(package)
    gc.collect()  # what loading left behind is not freed in the middle of a stage
    gc.freeze()
    for is_counted in (False, True):
        passes = [Pass(make_calls(size)) for _ in range(CALLS // size)]
        for stage in stages:
            if is_counted:
                os.getpgid(0)
            for work in passes:
                stage(work)
    os.getpgid(0)


def _tabulate_stages(profiles: Mapping[int, Sequence[Costs]]) -> Table:
    columns = ["stage"]
    for size in profiles:
        columns += [f"passes of {size}", "mostly in"]
    rows = []
    for at, stage in enumerate((*STAGES, "whole pipeline")):
        cells = [stage]
        for found in profiles.values():
            costs = found[at] if at < len(STAGES) else sum(found, Counter())
            cells += [f"{costs.total() / CALLS:,.0f}", _name_libraries(costs)]
        rows.append(cells)
    return Table(title="Instructions of a call in the pipeline", columns=columns, rows=rows)


def _name_libraries(costs: Costs) -> str:
    """Return the two libraries with the largest shares."""
    shares: Counter[str] = Counter()
    for (library, _), cost in costs.items():
        shares[library] += cost
    return ", ".join(f"{library} {cost / costs.total():.0%}" for library, cost in shares.most_common(2))


def _tabulate_functions(size: int, costs: Costs) -> Table:
    rows = [
        [function, library, f"{cost / CALLS:,.0f}", f"{cost / costs.total():.0%}"]
        for (library, function), cost in costs.most_common(FUNCTIONS)
    ]
    columns = ["function", "in", "instructions a call", "share"]
    return Table(title=f"The dearest functions by themselves, passes of {size}", columns=columns, rows=rows)


def main() -> None:
    """Count and print, or (under callgrind) be what is counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", type=Path, required=True, help="a package of a service of columns")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.size:
        _run_stages(arguments.package, arguments.size)
        return
    console = make_console()
    for table in count_instructions(arguments.package.resolve()):
        print_table(console, table)


if __name__ == "__main__":
    main()

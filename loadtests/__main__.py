"""Every service under load: a server is started, Locust runs each scenario without a window, a table sums up.

Call: python -m loadtests [SERVICE…] [--seconds N] [--locust PATH] [--home DIR]; `make loadtest` does so.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from rookery.fields.pictures.generated import generate_picture
from tests.servers import ROOKERY, ServerProcess

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = {"baseline": 1, "normal": 10, "stress": 50}
"""Users at once, by scenario."""
SERVICES = ("penguins", "iris", "housing", "digits", "features", "images")
PICTURES = 24
WIDTH = 100
PATIENCE_SECONDS = 60
"""What Locust may take beyond a scenario's own time."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one scenario came to; times in milliseconds."""

    service: str
    scenario: str
    requests: int
    failures: int
    rate: float
    p50: float
    p95: float
    p99: float


def main() -> int:
    """Run the scenarios and print the table; returns 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("services", nargs="*", help=f"from {', '.join(SERVICES)}; none: all that can be served")
    parser.add_argument("--seconds", type=int, default=10, help="length of each scenario")
    parser.add_argument("--scenarios", nargs="*", default=list(SCENARIOS), choices=list(SCENARIOS))
    parser.add_argument("--locust", type=Path, default=ROOT / "build" / "loadtest" / "bin" / "locust")
    parser.add_argument("--home", type=Path, default=ROOT / "build" / "loadtest-home", help="where versions are kept")
    arguments = parser.parse_args()
    console = Console(width=WIDTH)
    services = prepare(arguments.home.absolute(), arguments.services or list(SERVICES), console)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder, serving(arguments.home.absolute(), services, Path(folder)) as server:
        for service in services:
            draw_pictures(Path(folder) / service, service)
            for scenario in arguments.scenarios:
                console.print(f"{service}: {scenario}, {SCENARIOS[scenario]} user(s) for {arguments.seconds} s")
                result = run_locust(arguments.locust, server.port, service, scenario, arguments.seconds, Path(folder))
                results.append(result)
    console.print(tabulate(results))
    return int(any(result.failures or not result.requests for result in results))


def prepare(home: Path, services: Sequence[str], console: Console) -> list[str]:
    """Give the services versions where they have none; returns those that can be served.

    Images need weights: those that were pulled into the home before, or the file that LOADTEST_WEIGHTS names.
    """
    environment = {**os.environ, "ROOKERY_HOME": str(home), "ROOKERY_SERVICES_FOLDER": str(ROOT / "services")}
    missing = [name for name in services if not (home / "traffic" / f"{name}.json").is_file()]
    weights = os.environ.get("LOADTEST_WEIGHTS")
    if "images" in missing:
        missing.remove("images")
        if weights:
            subprocess.run([ROOKERY, "pull", "images", "--weights", weights], env=environment, check=True)
        else:
            console.print("images are left out: LOADTEST_WEIGHTS names no weights, and none were pulled")
            services = [name for name in services if name != "images"]
    if missing:
        subprocess.run([ROOKERY, "train", *missing], env=environment, check=True)
    return list(services)


@contextmanager
def serving(home: Path, services: Sequence[str], folder: Path) -> Iterator[ServerProcess]:
    """Run a server with the services on a free port, and end it."""
    factory = ServerProcess.Factory(folder)
    try:
        # With one service it would be mounted at the root; with two, every one is below its name.
        names = services if len(services) > 1 else [*services, *(name for name in ("iris",) if name not in services)]
        yield factory.serve(*names, home=home, services_folder=str(ROOT / "services"))
    finally:
        factory.stop_all()


def draw_pictures(folder: Path, service: str) -> None:
    """Fill a folder with pictures of the kind that a service takes; rows need none."""
    folder.mkdir()
    if service not in ("digits", "features", "images"):
        return
    for number in range(PICTURES):
        stream = io.BytesIO()
        if service == "digits":
            sheet = Image.new("L", (120, 120), 250)
            ImageDraw.Draw(sheet).text((35, 5), str(number % 10), fill=10, font_size=90, stroke_width=3)
            sheet.save(stream, "PNG")
        else:
            size = (1024, 1024) if service == "images" else (320, 240)
            Image.fromarray(generate_picture(number, width=size[0], height=size[1])).save(stream, "JPEG")
        (folder / f"{number:02d}.picture").write_bytes(stream.getvalue())


def run_locust(locust: Path, port: int, service: str, scenario: str, seconds: int, folder: Path) -> Result:
    """Run one scenario.

    Raises:
        RuntimeError: Locust failed, or printed no figures.
    """
    users = SCENARIOS[scenario]
    command = [
        *(str(locust), "--headless", "--locustfile", f"loadtests/{service}.py", "--host", f"http://127.0.0.1:{port}"),
        *("--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s", "--json"),
        *("--exit-code-on-error", "0", "--loglevel", "ERROR"),
    ]
    environment = {**os.environ, "LOADTEST_PREFIX": f"/{service}", "LOADTEST_PICTURES": str(folder / service)}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds + PATIENCE_SECONDS,
        check=False,
    )
    try:
        (found,) = json.loads(done.stdout[done.stdout.index("[") :])
    except ValueError as error:
        raise RuntimeError(f"Locust gave no figures: {done.stdout[-500:]}{done.stderr[-2000:]}") from error
    times = {float(milliseconds): count for milliseconds, count in found["response_times"].items()}
    count = found["num_requests"]
    return Result(
        service=service,
        scenario=scenario,
        requests=count,
        failures=found["num_failures"],
        rate=count / seconds,
        p50=percentile(times, 0.5),
        p95=percentile(times, 0.95),
        p99=percentile(times, 0.99),
    )


def percentile(times: dict[float, int], share: float) -> float:
    """Return the time that a share of the requests did not exceed, of counts by milliseconds."""
    wanted, seen = share * sum(times.values()), 0
    for milliseconds in sorted(times):
        seen += times[milliseconds]
        if seen >= wanted:
            return milliseconds
    return 0.0


def tabulate(results: Sequence[Result]) -> Table:
    """Return the results as a table."""
    table = Table(title="Services under load", title_justify="left")
    for name in ("service", "scenario", "users", "requests", "failures", "req/s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="left" if name in ("service", "scenario") else "right")
    for one in results:
        cells = (one.requests, one.failures, round(one.rate), round(one.p50), round(one.p95), round(one.p99))
        table.add_row(one.service, one.scenario, str(SCENARIOS[one.scenario]), *map(str, cells))
    return table


if __name__ == "__main__":
    sys.exit(main())

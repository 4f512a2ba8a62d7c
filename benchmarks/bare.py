"""The same pictures without a server: one thread for each core that decodes and computes, and nothing else.

Call: python -m benchmarks.bare images|features HOME SECONDS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pictures import make_scan, read_photograph
from benchmarks.servers import ROOT
from rookery.serving.assemble import INFERENCE_NICENESS

Work = Callable[[int], object]
"""Answers the picture of a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BareRun:
    """What one run of the loop gave."""

    rate: float
    """Pictures a second."""
    cpu_seconds: float
    """Processor time of one picture."""


def run_bare(service: str, home: Path, seconds: float) -> BareRun:
    """Run the loop in a process of its own.

    It is as nice as a server's inference threads are, so that others' work on the machine falls on both alike.
    """
    command = [sys.executable, "-m", "benchmarks.bare", service, str(home), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return BareRun(**json.loads(done.stdout.splitlines()[-1]))


def _images(home: Path) -> Work:
    from rookery.fields.pictures.fit import prepare_picture
    from rookery.fields.pictures.header import read_header
    from rookery.package.opener import open_package
    from rookery.registry.traffic import read_traffic_file, traffic_path

    file = read_traffic_file(traffic_path(home, "images"))
    if file is None:
        raise RuntimeError(f"{home} has no images")
    package = open_package(home / file.packages[str(file.traffic.champion)].path)
    picture, data = package.schema.picture, read_photograph()
    if picture is None:
        raise RuntimeError("the images take no pictures")
    spec = picture.image
    return lambda _: package.run(prepare_picture(data, read_header(data, spec), spec)[None])


def _features(_: Path) -> Work:
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    scan, vary_at = make_scan()
    head, tail = scan[:vary_at], scan[vary_at + 8 :]

    def detect(number: int) -> object:
        file = np.frombuffer(b"%b%08d%b" % (head, number, tail), np.uint8)
        grey = cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise RuntimeError("OpenCV cannot read the picture")
        return cv2.SIFT.create().detect(grey, None)

    return detect


def main() -> None:
    """Run one thread for each core and print the rate."""
    service, home, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    work = _images(home) if service == "images" else _features(home)
    work(0)
    os.nice(INFERENCE_NICENESS)
    cores = len(os.sched_getaffinity(0))
    counts = [0] * cores
    start, used = time.perf_counter(), time.process_time()

    def repeat(thread: int) -> None:
        while time.perf_counter() < start + seconds:
            work(counts[thread] * cores + thread)
            counts[thread] += 1

    threads = [threading.Thread(target=repeat, args=(thread,)) for thread in range(cores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate, cpu = sum(counts) / (time.perf_counter() - start), (time.process_time() - used) / sum(counts)
    print(json.dumps({"rate": rate, "cpu_seconds": cpu}))


if __name__ == "__main__":
    main()

"""What the operating system says about this process."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

STATM = Path("/proc/self/statm")


def resident_memory_mb() -> float:
    """Return this process's resident memory, in megabytes (10⁶ bytes).

    Where there is no `/proc` the highest value so far stands in for the present one.
    """
    try:
        pages = int(STATM.read_bytes().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

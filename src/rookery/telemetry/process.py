"""What the operating system says about this process and its machine."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

STATM = Path("/proc/self/statm")
MEMINFO = Path("/proc/meminfo")


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


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """The machine's memory, in bytes."""

    total: int
    available: int
    """What processes can get without swapping."""

    @property
    def used(self) -> int:
        """What processes and the system hold and would not give back."""
        return self.total - self.available

    @property
    def percent(self) -> float:
        """The used share, 0 to 100."""
        return round(100 * self.used / self.total, 1) if self.total else 0.0


def machine_memory() -> MachineMemory:
    """Return what memory the machine has.

    Where there is no `/proc`, psutil knows; elsewhere its import would cost a worker a megabyte for two numbers.
    """
    try:
        return read_meminfo(MEMINFO.read_text())
    except (OSError, LookupError, ValueError):
        import psutil

        memory = psutil.virtual_memory()
        return MachineMemory(total=memory.total, available=memory.available)


def read_meminfo(text: str) -> MachineMemory:
    """Return what `/proc/meminfo` says (proc_meminfo(5)).

    Raises:
        LookupError, ValueError: it is not in the known form.
    """
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    kilobytes = {name: int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable")}
    return MachineMemory(total=kilobytes["MemTotal"] * 1024, available=kilobytes["MemAvailable"] * 1024)

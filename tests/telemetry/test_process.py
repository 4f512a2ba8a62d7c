from __future__ import annotations

import psutil
import pytest

from rookery.telemetry.process import MachineMemory, machine_memory, read_meminfo, resident_memory_mb


def test_the_machines_memory_is_what_psutil_says_it_is() -> None:
    memory, expected = machine_memory(), psutil.virtual_memory()
    assert memory.total == expected.total
    assert memory.available == pytest.approx(expected.available, rel=0.2)
    assert 0 < memory.percent < 100


def test_meminfo_is_read_by_names_and_in_bytes() -> None:
    memory = read_meminfo("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\nHugePages_Total:  0\n")
    assert memory == MachineMemory(total=1_024_000, available=256_000)
    assert (memory.used, memory.percent) == (768_000, 75.0)


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n"])
def test_a_meminfo_of_another_form_is_refused(text: str) -> None:
    with pytest.raises((LookupError, ValueError)):
        read_meminfo(text)


def test_the_resident_memory_is_this_processs() -> None:
    assert resident_memory_mb() == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.1)

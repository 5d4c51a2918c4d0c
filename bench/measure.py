"""What a process costs, and what a row of numbers comes to. It knows no server and no scenario."""

import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

FSYNCS: Final = 50


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process, in user and kernel mode, of all its threads, also of those that have ended.

    It is the sum that /proc/PID/stat shows in hundredths of a second, from the clock behind it, in nanoseconds:
    clock_getcpuclockid(3), which Python does not have.
    """
    return time.clock_gettime(~pid << 3 | 2)


def pss_bytes(pid: int) -> int:
    """The memory of a process: its own pages, and its share of those that it has in common with others."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"The kernel does not say how much memory process {pid} has.")


def fsync_seconds(folder: Path) -> float:
    """What an fsync takes on this folder's disk at the moment: the median of some, each after 4 KiB were written over,
    as SQLite writes its log over again."""
    times = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(4096 * FSYNCS))
        os.fsync(file.fileno())
        for number in range(FSYNCS):
            os.pwrite(file.fileno(), bytes([1]) * 4096, 4096 * number)
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - before)
    return median(times)


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which this part of them lies; not a number where there are none. They must be sorted."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def raise_descriptor_limit() -> None:
    """Allow this process, and those that it starts, as many connections as the system lets it have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

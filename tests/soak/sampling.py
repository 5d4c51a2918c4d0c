"""Threads, descriptors and memory of a process, from /proc, and whether they are flat. It knows nothing of chat."""

import re
from pathlib import Path
from typing import Final, NamedTuple


class Usage(NamedTuple):
    """What a process uses."""

    threads: int
    descriptors: int
    memory_kib: int
    """Its share of the memory, PSS."""


TOLERANCE: Final = Usage(threads=0, descriptors=10, memory_kib=4_096)
"""By how much the last period may be above the first one after the warm-up. One attacker that leaves a descriptor or a
connection behind each time leaves hundreds, and all that is said meanwhile is more than this memory."""


def usage_of(process: int) -> Usage:
    """What it uses now."""
    folder = Path(f"/proc/{process}")
    threads = re.search(r"^Threads:\s+(\d+)", (folder / "status").read_text(), re.MULTILINE)
    memory = re.search(r"^Pss:\s+(\d+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE)
    assert threads and memory
    return Usage(int(threads[1]), len(list((folder / "fd").iterdir())), int(memory[1]))


def by_period(samples: list[Usage], periods: int) -> list[Usage]:
    """The least of each period, all equally long: connections and password hashes come and go, what leaks stays."""
    size = len(samples) // periods
    parts = (samples[number * size : (number + 1) * size] for number in range(periods))
    return [Usage(*(min(values) for values in zip(*part, strict=True))) for part in parts]


def grown(first: Usage, last: Usage, tolerance: Usage = TOLERANCE) -> list[str]:
    """What is above the first by more than the tolerance, in words."""
    return [
        f"{name.replace('_kib', ' (KiB)')} grew from {before} to {after}"
        for name, before, after, more in zip(Usage._fields, first, last, tolerance, strict=True)
        if after > before + more
    ]

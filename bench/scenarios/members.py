"""Who is in which process, and where each comes from."""

import os
from collections.abc import Iterator
from typing import Final

Figures = dict[str, float]
"""What one run gives, by the name of the column."""

PROCESSES: Final = max(2, os.cpu_count() or 1)
"""Of the generator: the authors' and at least one for those who are silent."""


def addresses() -> Iterator[str]:
    """One of the loopback's addresses after the other."""
    return (f"127.1.{number >> 8}.{number & 255}" for number in range(1, 1 << 16))

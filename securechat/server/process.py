"""What the process of a server is set to before it serves: descriptors and the collection of garbage.

It is the whole process's, so the command does it, and no server within another program.
"""

import contextlib
import gc
import resource
from typing import Final

COLLECT_AFTER: Final = (50_000, 20, 50)
"""Objects that a generation grows by before Python looks for cycles in it. What travels through a server is made in
thousands a second and has no cycles, and there are many connections to look through: with Python's own numbers an
eighth of the CPU of a busy server went into looking (measured: a hundred rooms of ten, and a thousand readers)."""


def prepare() -> None:
    """Set up this process for a server; what was made so far stays as long as it lives."""
    _raise_descriptor_limit()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _raise_descriptor_limit() -> None:
    # A connection is a descriptor, and the usual soft limit of 1,024 is for programs that use select().
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

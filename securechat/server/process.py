"""What the process of a server is set to before it serves: descriptors, memory and the collection of garbage.

It is the whole process's, so the command does it, and no server within another program.
"""

import contextlib
import ctypes
import gc
import resource
from typing import Final

COLLECT_AFTER: Final = (50_000, 20, 50)
"""Objects that a generation grows by before Python looks for cycles in it. What travels through a server is made in
thousands a second and has no cycles, and there are many connections to look through: with Python's own numbers an
eighth of the CPU of a busy server went into looking (measured: a hundred rooms of ten, and a thousand readers)."""

MMAP_THRESHOLD: Final = (-3, 1_048_576)
TRIM_THRESHOLD: Final = (-1, 4_194_304)
"""Names of glibc's mallopt(3), and bytes: a block from so many on goes back to the system when it is freed, and so does
what is free at the end of the heap, past so many. Left to itself, glibc raises both with the first large block that is
freed, the 19 MiB of a password hash: it then kept three of those, took them apart for other things, and had to have
another (measured: 97 MiB after two hundred logins, of which 60 were free, and 1 MiB more each minute). A hash takes a
third longer for it."""


def prepare() -> None:
    """Set up this process for a server; what was made so far stays as long as it lives."""
    _raise_descriptor_limit()
    _give_back_memory()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _give_back_memory() -> None:
    with contextlib.suppress(AttributeError):  # other libraries than glibc have no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        for option in (MMAP_THRESHOLD, TRIM_THRESHOLD):
            mallopt(*option)


def _raise_descriptor_limit() -> None:
    # A connection is a descriptor, and the usual soft limit of 1,024 is for programs that use select().
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

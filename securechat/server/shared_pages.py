"""Pages that were read for one reader who catches up, encoded, for all others who come by: a thousand clients that come
back at once, or read the same history, have it read and encoded once.

The reading workers add, workers and reactors take. It knows no session and no store; what it does not have is there.
"""

import threading
from array import array
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

import msgspec

RUN_OVERHEAD = 500
"""Bytes that a run takes besides its lines and where they end, at most about."""

END_BYTES = 4
"""Bytes in which it is kept where a record ends."""


class Look(NamedTuple):
    """How records are encoded: of which room, for whom, and whether they are told as what was there before."""

    room: str
    viewer: str
    """Where it matters who looks, as in a direct room; else empty."""
    replay: bool


class Run(msgspec.Struct, frozen=True):
    """Records of a room without a gap, as one piece."""

    look: Look
    start: int
    """The cursor whose reader it was read for."""
    first: int
    """The number of its first record: another than the next after the cursor where records are gone with their time."""
    data: bytes
    ends: Sequence[int]
    """Where each record ends in it."""

    @property
    def last(self) -> int:
        """The number of its last record."""
        return self.first + len(self.ends) - 1

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.data) + END_BYTES * len(self.ends) + RUN_OVERHEAD

    def after(self, cursor: int, upto: int) -> tuple[bytes, int]:
        """Its records after the cursor up to `upto`, and the number of the last of these."""
        last = min(self.last, upto)
        begin = self.ends[cursor - self.first] if cursor >= self.first else 0
        return self.data[begin : self.ends[last - self.first]], last


def run_of(look: Look, start: int, first: int, lines: Sequence[bytes]) -> Run:
    """The run of these encoded records, of which the first has the number `first`."""
    return Run(look, start, first, b"".join(lines), array("I", accumulate(map(len, lines))))


class SharedPages:
    """A bounded number of runs; that which nobody has asked for in the longest time is forgotten first."""

    def __init__(self, limit: int) -> None:
        """`limit` is in bytes, over all rooms."""
        self._limit = limit
        self._bytes = 0
        self._runs: dict[Look, list[Run]] = {}
        self._used: OrderedDict[tuple[Look, int], Run] = OrderedDict()
        self._lock = threading.Lock()
        self.forgotten = 0
        """Counts the calls of `forget`: what was read before one must not be added behind it."""

    def after(self, look: Look, cursor: int, upto: int) -> tuple[bytes, int] | None:
        """The records after the cursor, but none after `upto`, encoded, and the number of the last; None if unknown."""
        with self._lock:
            runs = self._runs.get(look)
            at = bisect_right(runs, cursor, key=_start) if runs else 0
            if not runs or not at:
                return None
            run = runs[at - 1]
            if run.last <= cursor or run.first > upto:
                return None
            self._used.move_to_end((look, run.start))
        return run.after(cursor, upto)

    def next_start(self, look: Look, cursor: int) -> int | None:
        """The cursor at which the next run behind this one starts: to there the gap may be filled."""
        with self._lock:
            runs = self._runs.get(look, ())
            at = bisect_right(runs, cursor, key=_start)
            return runs[at].start if at < len(runs) else None

    def add(self, run: Run, forgotten: int) -> None:
        """Keep a run that was read when `forgotten` was this; not if something was erased since, or it is there."""
        key = (run.look, run.start)
        with self._lock:
            if forgotten != self.forgotten or key in self._used:
                return
            self._used[key] = run
            insort(self._runs.setdefault(run.look, []), run, key=_start)
            self._bytes += run.size
            while self._bytes > self._limit:
                _, oldest = self._used.popitem(last=False)
                self._drop(oldest)

    def forget(self, room: str) -> None:
        """Keep nothing of this room: some of it was erased."""
        with self._lock:
            self.forgotten += 1
            for look in [look for look in self._runs if look.room == room]:
                for run in tuple(self._runs[look]):
                    del self._used[look, run.start]
                    self._drop(run)

    def _drop(self, run: Run) -> None:
        runs = self._runs[run.look]
        del runs[bisect_left(runs, run.start, key=_start)]
        if not runs:
            del self._runs[run.look]
        self._bytes -= run.size


_start = attrgetter("start")

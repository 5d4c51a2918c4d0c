"""Counters: what each part counts on its own thread, for others to read. Plain numbers: no lock, no clock, no name of a
person or a room.

Each object has one thread that writes to it; every thread may read. Numbers of several are not of one moment.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Bounds for times from a commit on a good disk to one that people complain about."""

SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Bounds for the records of one commit."""

LOGINS: Final = ("password", "token", "failed", "throttled")
"""What can come of a login: in by password or by token, wrong, or not even looked at."""


class Histogram:
    """How many values there were up to each bound, each counted once at the lowest that holds it; the last count is of
    those above all bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    def add(self, value: float, times: int = 1) -> None:
        """Count this value, so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def above(self, share: float) -> float:
        """The lowest bound that holds this share of the values; 0 without any, the highest where none does."""
        seen, wanted = 0, share * self.count
        for bound, count in zip(self.bounds, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound if self.count else 0.0
        return self.bounds[-1]

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class JournalCounts:
    """What the journal's thread counts."""

    __slots__ = ("batch_records", "commit_seconds", "messages", "records")

    def __init__(self) -> None:
        self.records = 0
        """Recorded, of every kind."""
        self.messages = 0
        """Recorded of the kind `say`."""
        self.commit_seconds = Histogram(SECONDS)
        """From the begin of a transaction until it is on the disk."""
        self.batch_records = Histogram(SIZES)
        """Records in one commit; those without any count as 1."""


class ReactorCounts:
    """What one reactor's thread counts."""

    __slots__ = ("answer_seconds", "deliveries", "logins")

    def __init__(self) -> None:
        self.deliveries = 0
        """Records that readers who are level with their room have got to; for each reader, so many."""
        self.logins = dict.fromkeys(LOGINS, 0)
        self.answer_seconds = Histogram(SECONDS)
        """From handing a proposal to the journal until its author's answer is queued, the commit in between."""


class ListenerCounts:
    """What the listener's thread counts."""

    __slots__ = ("accepted", "refused")

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0
        """Closed before a handshake: no place was left for them, or none for their address."""

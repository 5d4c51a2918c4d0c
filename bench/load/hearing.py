"""Whether everything was heard, once and in order. It knows no socket.

Each author numbers what it says in a room: 0, 1, 2 and so on. Most readers of a room hear the very same bytes; they
share a Tape, which is decoded once, and compare: a generator that decoded every delivery would be slower than the
servers.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from bench.talker import Heard, Talker

MARK = "mark"
"""Said in every room before a run: who has heard it has read all that logging in brought."""

TEXT_LENGTH = 100

Said = Mapping[tuple[str, str], int]
"""How many messages there were, by room and author."""


def text_of(author: str, number: int, rest: str = "") -> str:
    """A message of 100 characters that says whose it is, the how many-th, and when it was said."""
    return f"{author} {number} {time.perf_counter_ns()} {rest}".ljust(TEXT_LENGTH, "x")[:TEXT_LENGTH]


class Tally:
    """What one reader heard."""

    def __init__(self) -> None:
        self.heard = 0
        self.doubled = 0
        self.disordered = 0
        self._next: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._skipped: set[tuple[str, str, int]] = set()

    def hear(self, messages: Iterable[Heard]) -> list[int]:
        """Take messages as they came; returns when each was said, in nanoseconds of `perf_counter`."""
        times = []
        for room, text in messages:
            author, digits, said, _ = text.split(" ", 3)
            number, expected = int(digits), self._next[room, author]
            if number == expected:
                self._next[room, author] = number + 1
                self.heard += 1
            else:
                self._out_of_turn(room, author, number, expected)
            times.append(int(said))
        return times

    def lost(self, said: Said) -> int:
        """How many of these never came."""
        return sum(said.values()) - self.heard

    def _out_of_turn(self, room: str, author: str, number: int, expected: int) -> None:
        if number > expected:
            self._skipped |= {(room, author, missing) for missing in range(expected, number)}
            self._next[room, author] = number + 1
            self.heard += 1
        elif (room, author, number) in self._skipped:
            self._skipped.remove((room, author, number))
            self.disordered += 1
            self.heard += 1
        else:
            self.doubled += 1


class Tape:
    """The bytes that several silent readers of the same rooms hear."""

    def __init__(self, talker: Talker) -> None:
        self.tally = Tally()
        self._bytes = bytearray()
        self._talker = talker

    def __len__(self) -> int:
        return len(self._bytes)

    def hear(self, at: int, data: bytes) -> bool:
        """Take what one reader heard behind its first `at` bytes; False where others have heard something else."""
        known = len(self._bytes) - at
        if len(data) > known:
            if not self._bytes.endswith(data[:known]):
                return False
            self._bytes += data[known:]
            self.tally.hear(self._talker.receive(data[known:]))
            return True
        return self._bytes.startswith(data, at)

    def until(self, at: int) -> bytes:
        """The first `at` bytes."""
        return bytes(self._bytes[:at])


class Losses(Counter[str]):
    """What went wrong, added up over readers: `lost`, `doubled` and `disordered`."""

    def add(self, tally: Tally, said: Said) -> None:
        """Add one reader's."""
        self["lost"] += tally.lost(said)
        self["doubled"] += tally.doubled
        self["disordered"] += tally.disordered

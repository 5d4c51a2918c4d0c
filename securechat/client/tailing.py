"""Hearing several rooms at once from where somebody stopped, as one stream that can end by itself.

Each room is read on a thread of its own, and what it gives waits in one bounded place; whoever is slow holds up nothing
but the reading. It knows no terminal and no command line.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from securechat.client.client import Client
from securechat.errors import SecurechatError
from securechat.protocols.frames import AnyRecord, Join, Joined

WAITING: Final = 256
"""Records that were read and not taken; past it, the reading waits."""

REMEMBERED_EACH: Final = 100
"""Records that a consumer takes at most before the server is told how far it got; when none waits, it is told at once.
What it took since then it hears again if it is killed."""


class Place(NamedTuple):
    """Where the reading of a room begins: behind the record `after`, and the newest one is `head`."""

    after: int
    head: int


def beginnings(
    client: Client, rooms: Sequence[str], *, after: int | None, last: int | None, consumer: str
) -> dict[str, Place]:
    """Become a member of these rooms, and say behind which record to begin in each: where the consumer stopped; else
    behind `after`, or the `last` so many; else at the head. Raises Refused, Unreachable."""
    mine = {state.room for state in client.welcome.rooms}
    places: dict[str, Place] = {}
    for room in rooms:
        if room not in mine and not room.startswith("@"):
            client.request(Join(room=room), Joined)
        newest = client.history(room, limit=1).records
        head = newest[-1].seq if newest else 0
        begin = client.cursor(room, consumer) if consumer else 0
        if not begin:
            begin = min(after, head) if after is not None else max(0, head - (last or 0))
            if consumer and begin:
                client.advance(room, consumer, begin)  # what is said from now on is missed by no later run
        places[room] = Place(begin, head)
    return places


class Tail:
    """The records of these rooms, each behind its number. Records that were there before are marked as a replay."""

    def __init__(self, client: Client, places: Mapping[str, Place], *, consumer: str = "") -> None:
        self._client = client
        self._places = places
        self._consumer = consumer
        self._changed = threading.Condition()
        self._waiting: deque[AnyRecord] = deque()
        self._reading = len(places)
        self._is_over = False
        self._failure: SecurechatError | None = None
        self._behind = {room: place.head for room, place in places.items() if place.after < place.head}
        self._taken: dict[str, int] = {}
        self._since = 0

    def records(self, idle: float | None = None) -> Iterator[AnyRecord]:
        """Each record; ends when no room is left, or all that was there is told and none came for `idle` seconds, while
        there was a connection.

        Raises what `Client.messages` does.
        """
        for room, place in self._places.items():
            threading.Thread(target=self._read, args=(room, place.after), name="securechat-tail", daemon=True).start()
        while (record := self._next(idle)) is not None:
            if record.seq >= self._behind.get(record.room, record.seq + 1):
                del self._behind[record.room]
            yield record

    def took(self, record: AnyRecord) -> None:
        """The consumer is done with this record: the server is told now, or when a few more are. Raises Unreachable."""
        self._taken[record.room] = record.seq
        self._since += 1
        if self._since >= REMEMBERED_EACH or not self._waiting:
            self.remember()

    def remember(self) -> None:
        """Have the server remember all that the consumer is done with. Raises Unreachable."""
        if self._consumer:
            for room, seq in self._taken.items():
                self._client.advance(room, self._consumer, seq)
        self._taken.clear()
        self._since = 0

    def close(self) -> None:
        """End the reading, and the client with it."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._client.close()

    def _read(self, room: str, after: int) -> None:
        failure: SecurechatError | None = None
        try:
            for record in self._client.records(room, after=after):
                with self._changed:
                    self._changed.wait_for(lambda: len(self._waiting) < WAITING or self._is_over)
                    self._waiting.append(record)
                    self._changed.notify_all()
        except SecurechatError as error:
            failure = error
        with self._changed:
            self._reading -= 1
            self._failure = self._failure or failure
            self._changed.notify_all()

    def _next(self, idle: float | None) -> AnyRecord | None:
        if idle is not None and self._behind:
            idle = max(idle, self._client.timeouts.answer)
        deadline = None if idle is None else time.monotonic() + idle
        with self._changed:
            while not self._waiting:
                if self._failure is not None:
                    raise self._failure
                if not self._reading:
                    return None
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    if self._client.is_in:
                        return None
                    deadline, left = time.monotonic() + (idle or 0), idle  # silence of a server that is not there
                self._changed.wait(left)
            record = self._waiting.popleft()
            self._changed.notify_all()
            return record

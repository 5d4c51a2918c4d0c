"""What one client has heard and nobody has taken yet: everything, for who listens, and the records of one room, for who
taps it. What waits is bounded: past the bound nothing more is read. It knows frames, and nothing of requests.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec

from securechat.errors import SecurechatError
from securechat.limits import CLIENT_EVENTS
from securechat.protocols.frames import AnyEvent, AnyRecord


class Lost(msgspec.Struct, frozen=True):
    """The connection was lost for this reason (one safe sentence); the client is trying to come back."""

    reason: str


class Back(msgspec.Struct, frozen=True):
    """The client has come back: what was missed follows, and what was said meanwhile is sent."""


Heard: TypeAlias = AnyEvent | Lost | Back
"""What `events()` gives."""


class Tap:
    """The records of one room as they come, for one reader of it; at most CLIENT_EVENTS of them wait."""

    def __init__(self, room: str) -> None:
        self.room: Final = room
        self.records: deque[AnyRecord] = deque()
        self.is_stale = False
        """Some did not fit, or the connection is another: behind those that wait, others may be missing."""


class Hearing:
    """One client's. `changed` is the lock of its exchange, and `notify` tells the thread that owns the socket that
    there is room again."""

    def __init__(self, changed: threading.Condition, notify: Callable[[], None]) -> None:
        self.is_listened_to = False
        self._changed = changed
        self._notify = notify
        self._heard: deque[Heard] = deque()
        self._taps: list[Tap] = []
        self._is_over = False
        self._failure: SecurechatError | None = None

    # --- what callers do, on any thread -----------------------------------------------------------

    def listen(self) -> None:
        """From now on, keep for `batches` what is heard."""
        self.is_listened_to = True

    def batches(self) -> Iterator[list[Heard]]:
        """What is heard, each event once; all that waits at a time. Ends when the client was closed; raises what else
        ended it."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._heard or self._is_over)
                if not self._heard:
                    if self._failure is not None:
                        raise self._failure
                    return
                batch = list(self._heard)
                self._heard.clear()
            if len(batch) >= CLIENT_EVENTS:
                self._notify()
            yield batch

    def tap(self, room: str) -> Tap:
        """Have the records of a room given to one reader, as they come."""
        tap = Tap(room)
        with self._changed:
            self._taps.append(tap)
        return tap

    def close_tap(self, tap: Tap) -> None:
        """Give nothing more to this reader."""
        with self._changed:
            self._taps.remove(tap)

    def draw(self, tap: Tap) -> AnyRecord | None:
        """The next record; None where others may be missing behind the last one, or the client is over."""
        with self._changed:
            self._changed.wait_for(lambda: tap.records or tap.is_stale or self._is_over)
            return tap.records.popleft() if tap.records else None

    def refill(self, tap: Tap) -> None:
        """Begin again, with nothing in it."""
        with self._changed:
            tap.records.clear()
            tap.is_stale = False

    # --- what the exchange does, with the lock held but for the first -----------------------------

    @property
    def has_room(self) -> bool:
        """Whether more may be read: what was heard and not taken yet is within its limit."""
        return len(self._heard) < CLIENT_EVENTS

    def put(self, event: Heard) -> None:
        """Keep this for who listens, if anybody does."""
        if self.is_listened_to:
            self._heard.append(event)

    def give(self, record: AnyRecord) -> None:
        """Keep a record for who taps its room."""
        for tap in self._taps:
            if tap.room == record.room and not tap.is_stale:
                tap.is_stale = len(tap.records) >= CLIENT_EVENTS
                if not tap.is_stale:
                    tap.records.append(record)

    def lose(self, reason: str) -> None:
        """The connection of one who was in is over."""
        if self._heard and isinstance(self._heard[-1], Back):
            self._heard.pop()  # nobody has looked since the last time: the loss is told already
        else:
            self.put(Lost(reason))

    def miss(self) -> None:
        """The connection is another: taps may lack what comes in between."""
        for tap in self._taps:
            tap.is_stale = True

    def end(self, failure: SecurechatError | None) -> None:
        """The client is over, because it was closed (None) or for this reason."""
        self._is_over = True
        self._failure = failure

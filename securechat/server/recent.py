"""The newest records of active rooms, in memory: a thousand clients that come back at once read the disk once.

The journal's thread adds, the reading workers ask. It knows no session; what it does not have is in the store.
"""

import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence

from securechat.chat.model import Record

RECORD_OVERHEAD = 400
"""Bytes that a record takes in memory besides its text, at most about."""


class Recent:
    """A bounded run of the newest records of each room spoken in lately; the quietest room is forgotten first."""

    def __init__(self, limit: int) -> None:
        """`limit` is in bytes, over all rooms."""
        self._limit = limit
        self._bytes = 0
        self._rooms: OrderedDict[str, deque[Record]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, batch: Mapping[str, Sequence[Record]]) -> None:
        """Keep what a commit has added, by room."""
        with self._lock:
            for room, records in batch.items():
                if any(record.kind == "delete" for record in records):
                    self._forget(room)  # what is erased must not live on here
                    continue
                kept = self._rooms.setdefault(room, deque())
                kept.extend(records)
                self._bytes += sum(map(_size, records))
                self._rooms.move_to_end(room)
            while self._bytes > self._limit:
                self._shrink()

    def after(self, room: str, cursor: int, limit: int, max_bytes: int) -> list[Record] | None:
        """The records after the cursor, as many as a page holds; None when they are not all here."""
        with self._lock:
            kept = self._rooms.get(room)
            if not kept or kept[0].seq > cursor + 1:
                return None
            page: list[Record] = []
            size = 0
            start = cursor + 1 - kept[0].seq
            for record in itertools.islice(kept, start, start + limit):
                size += _size(record)
                if page and size > max_bytes:
                    break
                page.append(record)
            return page or None

    def forget(self, room: str) -> None:
        """Keep nothing of this room: some of it was erased."""
        with self._lock:
            self._forget(room)

    def _shrink(self) -> None:
        room, kept = next(iter(self._rooms.items()))
        if len(self._rooms) > 1 or not kept:
            self._forget(room)
        else:
            self._bytes -= _size(kept.popleft())

    def _forget(self, room: str) -> None:
        self._bytes -= sum(map(_size, self._rooms.pop(room, ())))


def _size(record: Record) -> int:
    return RECORD_OVERHEAD + len(record.text)

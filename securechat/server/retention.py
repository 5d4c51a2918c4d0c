"""Old records are erased, in small steps, in rooms whose talk is not kept for ever. The journal does it; this file only
says up to where."""

from securechat.chat.model import Expire, Room
from securechat.config import Config
from securechat.journal.journal import Journal, Submission
from securechat.journal.store import Reader
from securechat.limits import SAFE_INTEGER
from securechat.server.recent import Recent

DAY = 86_400_000
"""Milliseconds."""


class Retention:
    """Looks for records that are older than their room keeps them; for one thread, that of the reader."""

    def __init__(self, reader: Reader, journal: Journal, config: Config, recent: Recent) -> None:
        self._reader = reader
        self._journal = journal
        self._config = config
        self._recent = recent

    def sweep(self, now: int) -> bool:
        """Have one step erased in each room that has old records; whether any had. `now` is in milliseconds since 1970.

        Raises StorageFailed when the store cannot be read.
        """
        steps = []
        for room in tuple(self._journal.view.rooms.values()):
            days = self._config.retention.get(room.name, self._config.retention_days)
            upto = self._last_before(room, now - days * DAY) if days else room.base
            if upto > room.base:
                steps.append(Submission(Expire(room.name, upto), None))
                self._recent.forget(room.name)
        return bool(steps) and self._journal.submit(steps)

    def _last_before(self, room: Room, time: int) -> int:
        """The newest record before this time; times never go backwards in a room, so that halving finds it."""
        known, beyond = room.base, room.head + 1
        if known + 1 == beyond or self._time(room, known + 1) >= time:
            return known
        known += 1
        while known + 1 < beyond:
            middle = (known + beyond) // 2
            if self._time(room, middle) < time:
                known = middle
            else:
                beyond = middle
        return known

    def _time(self, room: Room, seq: int) -> int:
        found = self._reader.page(room.name, after=seq - 1, limit=1).records
        # None where an earlier step has erased it and the view does not say so yet: the next look will see it.
        return found[0].time if found else SAFE_INTEGER

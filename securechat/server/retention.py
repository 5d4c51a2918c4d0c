"""Old records are erased, in small steps, in rooms whose talk is not kept for ever. The journal does it; this file only
says up to where."""

from collections.abc import Callable

from securechat.chat.model import Expire
from securechat.config import Config
from securechat.journal.journal import Journal, Submission
from securechat.journal.reader import Reader
from securechat.limits import EXPIRED_AT_ONCE
from securechat.server.shared_pages import SharedPages

DAY = 86_400_000
"""Milliseconds."""


class Retention:
    """Looks for records that are older than their room keeps them; for one thread, that of the reader."""

    def __init__(self, reader: Reader, journal: Journal, config: Callable[[], Config], shared: SharedPages) -> None:
        self._reader = reader
        self._journal = journal
        self._config = config
        self._shared = shared

    def sweep(self, now: int) -> bool:
        """Have one step erased in each room that has old records; whether any had. `now` is in milliseconds since 1970.

        Raises StorageFailed when the store cannot be read.
        """
        config = self._config()
        steps = []
        for room in tuple(self._journal.view.rooms.values()):
            days = config.retention.get(room.name, config.retention_days)
            upto = self._reader.older(room.name, now - days * DAY, EXPIRED_AT_ONCE) if days else 0
            if upto > room.base:
                steps.append(Submission(Expire(room.name, upto), None))
                self._shared.forget(room.name)
        return bool(steps) and self._journal.submit(steps)

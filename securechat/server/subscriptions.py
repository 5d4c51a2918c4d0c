"""What one session reads: each room from a cursor, live or catching up; one mechanism for joining with a past,
reconnecting, reading a long history and being slow.

It runs on its reactor's thread; pages are read by a worker. It knows nothing of requests and of who may read what.
"""

import logging
from typing import TYPE_CHECKING

from securechat.errors import Code
from securechat.server.fanout import Reading, Subscription
from securechat.server.pages import read_on

if TYPE_CHECKING:
    from securechat.server.session import Session

log = logging.getLogger(__name__)


class Subscriptions:
    """The subscriptions of one session."""

    def __init__(self, session: "Session") -> None:
        self.session = session
        self._live = session.reactor.audience.live
        self._services = session.reactor.services
        self._shared = self._services.shared_pages
        self._page_bytes = session.reactor.limits.page_bytes
        self._all: dict[str, Subscription] = {}
        self._behind: dict[str, Subscription] = {}
        self._paging = False
        self._found: tuple[Subscription, tuple[bytes, int] | Exception] | None = None
        """What a worker has read, for this subscription: a page at most, until the reactor calls `page`."""
        self.is_due = False
        """Whether the reactor is to call `page`."""

    def __contains__(self, room: str) -> bool:
        return room in self._all

    @property
    def is_behind(self) -> bool:
        """Whether there is a room with which it is not level; any thread may ask."""
        return self._paging or bool(self._behind)

    def begin(self, room: str, cursor: int, replay_to: int | None = None) -> None:
        """Read this room from the cursor on; a subscription that reads it already is replaced.

        Records up to `replay_to` (the head, if not said) are told as what was there before.
        """
        self.end(room)
        old = self._services.view.rooms[room].head if replay_to is None else replay_to
        subscription = self._all[room] = Subscription(self.session, room, cursor, old)
        self._level_or_wait(subscription)
        self.read_on()

    def end(self, room: str) -> None:
        """Read this room no more."""
        subscription = self._all.pop(room, None)
        self._behind.pop(room, None)
        if subscription and subscription.reading is Reading.LIVE:
            self._leave_the_live(subscription)

    def behind(self) -> list[int]:
        """For each room that it is not level with, how many records it has not got to."""
        rooms = self._services.view.rooms
        late = (one for one in self._all.values() if one.reading is not Reading.LIVE)
        return [rooms[one.room].head - one.cursor for one in late]

    def end_with(self, room: str, last: int) -> None:
        """The membership ended with the record `last`: a reader who is behind reads up to it, and no further."""
        subscription = self._all.get(room)
        if subscription is not None and subscription.cursor < last:
            subscription.last = last
        else:
            self.end(room)

    def go_on(self, room: str) -> None:
        """The account is a member again: what is read of this room is read without an end."""
        self._all[room].last = None

    def end_all(self) -> None:
        """Read nothing more, and let go of the session."""
        for room in tuple(self._all):
            self.end(room)
        self.is_due = False
        del self.session

    def fell_behind(self, subscription: Subscription) -> None:
        """A batch did not fit in the queue: what is lacking is read from the store when there is room."""
        self._leave_the_live(subscription)
        self._wait(subscription)
        self.read_on()

    def read_on(self) -> None:
        """Have the next page queued, when it is this session's turn, for a subscription that is behind."""
        # One page at a time for a session: so the workers' queue, twice as long as connections are many, is never full.
        if self._behind and not self._paging and not self.is_due:
            self._page_later()

    def page(self) -> None:
        """Queue the next page for a subscription that is behind, or have it read, if the queue has room for it."""
        self.is_due = False
        session = self.session
        if self._found:
            found_for, self._found = self._found, None
            self._take_found(*found_for)
            return
        if not self._behind:
            return
        if session.connection.queued > session.queue_bytes // 2:
            session.connection.is_awaited = True
            return
        subscription = self._behind.pop(next(iter(self._behind)))
        base = self._services.view.rooms[subscription.room].base
        lacks = subscription.lacks()
        # What is gone with its time is passed over, also where it is still at hand.
        found = (b"", min(base, lacks[-1])) if subscription.cursor < base else self._shared.after(*lacks)
        if found:
            self._take(subscription, *found)
            self.read_on()
            return
        subscription.reading = Reading.PAGING
        self._paging = True
        work = read_on(self._shared, *lacks, self._page_bytes)
        deliver = session.on_its_thread(lambda page: self._hold(subscription, page))
        if not self._services.reading.submit(work, deliver):
            session.give_up(Code.TOO_MANY_REQUESTS, "Too many are reading at once.")

    def _hold(self, subscription: Subscription, page: tuple[bytes, int] | Exception) -> None:
        # A page that a hundred wait for is there for all of them at once: each is given it when it is its turn.
        self._found = subscription, page
        self._page_later()

    def _page_later(self) -> None:
        self.is_due = True
        self.session.reactor.page_later(self)

    def _take_found(self, subscription: Subscription, page: tuple[bytes, int] | Exception) -> None:
        self._paging = False
        if isinstance(page, Exception):
            log.error("records could not be read: %s", page, extra=self.session.who())
            self.session.give_up(Code.STORAGE, "The server cannot read its store.")
            return
        if self._all.get(subscription.room) is subscription:  # else it ended, or began anew from another cursor
            self._take(subscription, *page)
        self.read_on()

    def _take(self, subscription: Subscription, data: bytes, cursor: int) -> None:
        last = subscription.last
        if last is not None and cursor > last:  # it was read before the membership ended
            self._wait(subscription)
            return
        subscription.cursor = cursor
        if data:  # else all of it was gone with its time
            self.session.connection.queue(data)
        if cursor == last:
            self.end(subscription.room)
        else:
            self._level_or_wait(subscription)

    def _level_or_wait(self, subscription: Subscription) -> None:
        # The journal's view is at least as new as the batches this reactor has seen: who is level with it misses none.
        if subscription.cursor >= self._services.view.rooms[subscription.room].head:
            subscription.reading = Reading.LIVE
            self._live.setdefault(subscription.room, set()).add(subscription)
        else:
            self._wait(subscription)

    def _wait(self, subscription: Subscription) -> None:
        subscription.reading = Reading.BEHIND
        self._behind[subscription.room] = subscription

    def _leave_the_live(self, subscription: Subscription) -> None:
        live = self._live[subscription.room]
        live.discard(subscription)
        if not live:
            del self._live[subscription.room]

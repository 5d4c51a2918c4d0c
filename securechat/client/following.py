"""Reading one room from a cursor for as long as one likes, over all the connections of a client: page by page while it
is behind, then as the records come. What comes again is passed over, and nothing is given behind a gap.
"""

from collections.abc import Generator, Iterator
from typing import Final, TypeVar

import msgspec

from securechat.client.cursor import Cursor, Step
from securechat.client.exchange import Exchange
from securechat.client.hearing import Tap
from securechat.client.pending import out_of_place
from securechat.errors import Unreachable
from securechat.limits import PAGE_RECORDS
from securechat.protocols.frames import (
    Answer,
    AnyRecord,
    History,
    KickRecord,
    LeaveRecord,
    Page,
    Subscribe,
    Subscribed,
)

A = TypeVar("A", bound=Answer)


class Following:
    """One reader of one room; its memory is bounded, and however slow it is, nobody else waits for it."""

    def __init__(self, exchange: Exchange, room: str, after: int | None, seconds: float) -> None:
        assert exchange.welcome is not None
        self._exchange: Final = exchange
        self._room: Final = room
        self._seconds: Final = seconds
        self._reader: Final = exchange.welcome.username
        self._cursor = Cursor(room, self._reader, after) if after is not None else None

    def records(self) -> Iterator[AnyRecord]:
        """Each record once, in order; ends when the client is closed, or the account is in the room no more.

        Raises Refused where it may not read the room, ChainBroken, and what else ended the client.
        """
        tap = self._exchange.hearing.tap(self._room)
        try:
            while self._exchange.wait_in():
                self._exchange.hearing.refill(tap)
                try:
                    yield from self._catch_up()
                except Unreachable:
                    if self._exchange.is_in:
                        raise  # there is a connection, and still no answer
                    continue  # the client comes back, or ends: wait for either
                if (yield from self._live(tap)):
                    return
        finally:
            self._exchange.hearing.close_tap(tap)

    def _catch_up(self) -> Iterator[AnyRecord]:
        """What there is up to the head; from there on, the tap has it."""
        subscribed = self._ask(Subscribe(room=self._room), Subscribed)
        if self._cursor is None:
            self._cursor = Cursor(self._room, self._reader, subscribed.head, subscribed.hash)
        cursor = self._cursor
        cursor.head(subscribed.head, subscribed.hash)
        while cursor.seq < subscribed.head:
            page = self._ask(History(room=self._room, after=cursor.seq, limit=PAGE_RECORDS), Page)
            before = cursor.seq
            yield from self._read(page, cursor)
            if not page.records and not page.more:
                self._skip(cursor, subscribed.head, subscribed.hash)
            if cursor.seq == before:
                raise out_of_place(page)

    def _read(self, page: Page, cursor: Cursor) -> Iterator[AnyRecord]:
        base = page.base
        for record in page.records:
            if record.seq > cursor.seq + 1:
                self._skip(cursor, record.seq - 1, base)
            elif record.seq == cursor.seq + 1:
                cursor.name(cursor.seq, base)
            base = ""  # it is what was before the first
            if cursor.take(record) is Step.NEXT:
                yield msgspec.structs.replace(record, replay=True)
        if page.records:
            cursor.name(page.records[-1].seq, page.hash)

    def _skip(self, cursor: Cursor, seq: int, hash: str) -> None:
        """Go on behind records that the server has no more, or that are of a kind which this client does not know."""
        self._exchange.reading.counts.skipped += seq - cursor.seq
        cursor.skip_to(seq, hash)

    def _live(self, tap: Tap) -> Generator[AnyRecord, None, bool]:
        """What comes, until something is missing; returns whether the account has left the room."""
        assert self._cursor is not None
        while (record := self._exchange.hearing.draw(tap)) is not None:
            step = self._cursor.take(record)
            if step is Step.GAP:
                self._exchange.reading.counts.gaps += 1
                return False
            if step is Step.NEXT:
                yield record
                if self._leaves(record):
                    return True
        return False

    def _leaves(self, record: AnyRecord) -> bool:
        return (isinstance(record, LeaveRecord) and record.sender == self._reader) or (
            isinstance(record, KickRecord) and record.target == self._reader
        )

    def _ask(self, request: Subscribe | History, answer: type[A]) -> A:
        return self._exchange.ask(request, answer, self._seconds, is_followed=False)

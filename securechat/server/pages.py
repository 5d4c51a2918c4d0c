"""What the reading and searching workers do: a page of a room from the store, encoded, for `history`, for catching up,
and the records that a search has found.

Each function returns the work; it runs on a worker's thread with that worker's tool, and touches nothing else.
"""

from collections.abc import Callable, Collection, Iterator

import msgspec

from securechat.chat.chain import start
from securechat.chat.model import Room
from securechat.chat.names import shown_room
from securechat.journal.reader import Reader
from securechat.journal.search import Searcher
from securechat.limits import PAGE_RECORDS
from securechat.protocols.frames import Found, History, Hit, Page, Search
from securechat.protocols.native import NativeProtocol
from securechat.server.fanout import encode_record, record_event, text_of_bytes
from securechat.server.shared_pages import Look, SharedPages, run_of


class Finder:
    """The tool of a searching worker: the index, and the store for what was found."""

    def __init__(self, searcher: Searcher, reader: Reader) -> None:
        self.searcher = searcher
        self.reader = reader

    def close(self) -> None:
        """Close both."""
        self.searcher.close()
        self.reader.close()


def read_history(request: History, room: Room, viewer: str, max_bytes: int) -> Callable[[Reader], bytes]:
    """The answer to a `history` request, encoded."""

    def work(reader: Reader) -> bytes:
        page = reader.page(
            room.name, after=request.after, before=request.before, limit=request.limit, max_bytes=max_bytes
        )
        return NativeProtocol.encode(
            Page(
                ref=request.ref,
                room=shown_room(room.name, viewer),
                records=tuple(record_event(record, viewer) for record in page.records),
                more=page.more,
                base=text_of_bytes(_before(reader, room, page.records[0].seq)) if page.records else "",
                hash=text_of_bytes(page.records[-1].hash) if page.records else "",
            )
        )

    return work


def _before(reader: Reader, room: Room, seq: int) -> bytes:
    """The room's chain before this record."""
    previous = reader.record(room.name, seq - 1)
    if previous is not None:
        return previous.hash
    return room.base_hash if seq - 1 == room.base and room.base else start(room.name)


def read_on(
    shared: SharedPages, look: Look, cursor: int, upto: int, max_bytes: int
) -> Callable[[Reader], tuple[bytes, int]]:
    """The next records after the cursor, but none after `upto`, encoded one by one, and the cursor behind them.

    Where all of them are gone with their time, nothing is encoded, and the cursor is behind what is gone.
    """

    def work(reader: Reader) -> tuple[bytes, int]:
        found = shared.after(look, cursor, upto)  # another may have read it since this was asked for
        if found:
            return found
        forgotten = shared.forgotten
        next_start = shared.next_start(look, cursor)
        before = None if next_start is None else next_start + 1
        records = reader.page(look.room, after=cursor, before=before, limit=PAGE_RECORDS, max_bytes=max_bytes).records
        if not records:
            # The base is read after the page: what has expired between the two was not on the page either.
            base = reader.base(look.room)
            if base <= cursor:
                raise LookupError(f"no record after {cursor} where there should be one")
            return b"", min(base, upto)
        lines = [encode_record(record, look.viewer, replay=look.replay) for record in records]
        run = run_of(look, cursor, records[0].seq, lines)
        shared.add(run, forgotten)
        return run.after(cursor, upto) if run.first <= upto else (b"", upto)

    return work


def export(reader: Reader, room: str) -> Iterator[bytes]:
    """Every record of the room with this key, encoded one by one, oldest first. Raises StorageFailed."""
    cursor, more = 0, True
    while more:
        page = reader.page(room, after=cursor, limit=PAGE_RECORDS)
        for record in page.records:
            # Nobody in particular looks: a direct room goes by its key, and not by the name that one of the two sees.
            yield NativeProtocol.encode(msgspec.structs.replace(record_event(record, ""), room=room))
            cursor = record.seq
        more = page.more


def find(request: Search, rooms: Collection[str], viewer: str) -> Callable[[Finder], bytes]:
    """The answer to a `search` request in these rooms, encoded."""

    def work(finder: Finder) -> bytes:
        hits = finder.searcher.search(
            request.text,
            rooms,
            sender=request.from_,
            before=request.before,
            after=request.after,
            limit=request.limit + 1,
        )
        found = []
        for hit in hits[: request.limit]:
            record = finder.reader.text_of(hit.room, hit.seq)
            if record is not None:  # else it was erased since it was indexed
                event = record_event(record, viewer)
                found.append(Hit(room=event.room, record=event))
        return NativeProtocol.encode(Found(ref=request.ref, hits=tuple(found), more=len(hits) > request.limit))

    return work

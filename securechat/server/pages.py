"""What the history workers do: read a page of a room from the store and encode it, for `history` and for catching up.

Each function returns the work; it runs on a worker's thread with that worker's reader, and touches nothing else.
"""

from collections.abc import Callable

from securechat.chat.names import shown_room
from securechat.journal.store import Reader
from securechat.limits import PAGE_RECORDS
from securechat.protocols.frames import History, Page
from securechat.protocols.native import NativeProtocol
from securechat.server.fanout import encode_records, record_event


def read_history(request: History, room: str, viewer: str, max_bytes: int) -> Callable[[Reader], bytes]:
    """The answer to a `history` request, encoded."""

    def work(reader: Reader) -> bytes:
        page = reader.page(room, after=request.after, before=request.before, limit=request.limit, max_bytes=max_bytes)
        return NativeProtocol.encode(
            Page(
                ref=request.ref,
                room=shown_room(room, viewer),
                records=tuple(record_event(record, viewer) for record in page.records),
                more=page.more,
            )
        )

    return work


def read_on(room: str, cursor: int, viewer: str, max_bytes: int) -> Callable[[Reader], tuple[bytes, int]]:
    """The next records after the cursor, encoded one by one, and the cursor behind them."""

    def work(reader: Reader) -> tuple[bytes, int]:
        page = reader.page(room, after=cursor, limit=PAGE_RECORDS, max_bytes=max_bytes)
        if not page.records:
            raise LookupError(f"no record after {cursor} where there should be one")
        return encode_records(page.records, viewer), page.records[-1].seq

    return work

"""From committed batches to readers: who reads what from where, and each batch encoded once for all of them.

It knows records, frames and queues; it knows no socket, and decides nothing.
"""

import enum
from typing import TYPE_CHECKING, Final

import msgspec

from securechat.chat.model import Proposal, Record
from securechat.chat.names import is_direct, shown_room
from securechat.journal.journal import Batch
from securechat.protocols.frames import AnyRecord, CreateRecord, JoinRecord, LeaveRecord, Message
from securechat.protocols.native import NativeProtocol

if TYPE_CHECKING:
    from securechat.server.session import Session


class Origin(msgspec.Struct, frozen=True):
    """Where a proposal came from, so that its outcome finds the way back."""

    session: "Session"
    proposal: Proposal
    ref: str | None


class Reading(enum.Enum):
    """What a subscription is doing."""

    LIVE = enum.auto()
    """It has everything, and gets each batch as it is published."""
    BEHIND = enum.auto()
    """It has to read on from the store when its connection's queue has room."""
    PAGING = enum.auto()
    """A worker reads its next page."""


class Subscription:
    """One session reading one room from a cursor, the `seq` of the last record that was queued for it."""

    __slots__ = ("cursor", "reading", "room", "session")

    def __init__(self, session: "Session", room: str, cursor: int) -> None:
        self.session = session
        self.room = room
        self.cursor = cursor
        self.reading = Reading.BEHIND


_OTHERS: Final[dict[str, type[CreateRecord | JoinRecord | LeaveRecord]]] = {
    "create": CreateRecord,
    "join": JoinRecord,
    "leave": LeaveRecord,
}


def record_event(record: Record, viewer: str) -> AnyRecord:
    """A record as the frame in which `viewer` is told of it."""
    room = shown_room(record.room, viewer)
    if record.kind == "say":
        return Message(
            room=room, seq=record.seq, sender=record.sender, time=record.time, id=record.id, text=record.text
        )
    return _OTHERS[record.kind](room=room, seq=record.seq, sender=record.sender, time=record.time, id=record.id)


def encode_records(records: list[Record], viewer: str) -> bytes:
    """Records as the bytes in which `viewer` is told of them."""
    return b"".join(NativeProtocol.encode(record_event(record, viewer)) for record in records)


class Delivery:
    """A published batch on its way to the readers of all reactors; encoded when the first reader needs it."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._encoded: dict[tuple[str, str], bytes] = {}

    def send(self, subscription: Subscription) -> bool:
        """Queue what the subscription lacks of this batch; False when it cannot be queued and must be read later.

        It cannot when the queue has no room, or when records between the cursor and this batch were never queued.
        """
        room, cursor = subscription.room, subscription.cursor
        records = self.batch.records[room]
        first, last = records[0].seq, records[-1].seq
        if cursor >= last:
            return True
        session = subscription.session
        if cursor == first - 1:
            data = self._whole(room, session.username)
        elif cursor >= first:
            data = encode_records([record for record in records if record.seq > cursor], session.username)
        else:
            return False
        connection = session.connection
        if connection.queued + len(data) > session.queue_bytes:
            return False
        connection.queue(data)
        subscription.cursor = last
        return True

    def _whole(self, room: str, viewer: str) -> bytes:
        # Only a direct room has a name that depends on who looks; two reactors may both encode, to the same bytes.
        key = (room, viewer if is_direct(room) else "")
        data = self._encoded.get(key)
        if data is None:
            data = self._encoded[key] = encode_records(self.batch.records[room], viewer)
        return data

"""From committed batches to readers: who reads what from where, and each batch encoded once for all of them.

It knows records, frames and queues; it knows no socket, and decides nothing.
"""

import binascii
import enum
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from securechat.chat.model import Barrier, Forget, Grant, Impose, Kind, Lift, Mark, Proposal, Record, Revoke
from securechat.chat.names import is_direct, shown_room
from securechat.journal.journal import Batch
from securechat.limits import SAFE_INTEGER
from securechat.protocols import records
from securechat.protocols.native import NativeProtocol
from securechat.protocols.records import AnyRecord
from securechat.server.shared_pages import Look

if TYPE_CHECKING:
    from securechat.server.session import Session


class Origin(msgspec.Struct, frozen=True):
    """Where a proposal came from, so that its outcome finds the way back."""

    session: "Session"
    proposal: Proposal | Mark | Forget | Grant | Revoke | Barrier | Impose | Lift
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

    __slots__ = ("cursor", "last", "reading", "replay_to", "room", "session")

    def __init__(self, session: "Session", room: str, cursor: int, replay_to: int) -> None:
        self.session = session
        self.room = room
        self.cursor = cursor
        self.replay_to = replay_to
        """The room's head when it began: what is not newer was there before."""
        self.last: int | None = None
        """The record that ended the membership, where one has: it is read up to that one."""
        self.reading = Reading.BEHIND

    def lacks(self) -> tuple[Look, int, int]:
        """What it is to read next: how it is encoded, after which record, and up to which at most."""
        replay = self.cursor < self.replay_to
        viewer = self.session.username if is_direct(self.room) else ""
        upto = self.replay_to if replay else SAFE_INTEGER
        return Look(self.room, viewer, replay), self.cursor, upto if self.last is None else min(upto, self.last)


def text_of_bytes(data: bytes) -> str:
    """Bytes as frames carry them: base64 in the alphabet for URLs, without padding (RFC 4648, section 5)."""
    return binascii.b2a_base64(data, newline=False).translate(_FOR_URLS, b"=").decode() if data else ""


_FOR_URLS: Final = bytes.maketrans(b"+/", b"-_")


def record_event(record: Record, viewer: str, *, replay: bool = False) -> AnyRecord:
    """A record as the frame in which `viewer` is told of it; `replay`: it was there before the session read it."""
    room = shown_room(record.room, viewer)
    if record.kind == "say":  # nearly all are: this takes half as long as the table
        return records.Message(
            room=room,
            seq=record.seq,
            sender=record.sender,
            time=record.time,
            id=record.id,
            salt=text_of_bytes(record.salt),
            erased=text_of_bytes(record.erased),
            replay=replay,
            text=record.text,
            reply_to=record.about,
        )
    what, extra = _EVENTS[record.kind]
    return what(
        room=room,
        seq=record.seq,
        sender=record.sender,
        time=record.time,
        id=record.id,
        salt=text_of_bytes(record.salt),
        erased=text_of_bytes(record.erased),
        replay=replay,
        **extra(record),
    )


_EVENTS: dict[Kind, tuple[type[AnyRecord], Callable[[Record], dict[str, Any]]]] = {
    "topic": (records.TopicRecord, lambda record: {"text": record.text}),
    "edit": (records.EditRecord, lambda record: {"text": record.text, "about": record.about}),
    "delete": (records.DeleteRecord, lambda record: {"about": record.about}),
    "invite": (records.InviteRecord, lambda record: {"target": record.target}),
    "kick": (records.KickRecord, lambda record: {"target": record.target}),
    "create": (records.CreateRecord, lambda record: {"target": record.target}),
    "join": (records.JoinRecord, lambda record: {}),
    "leave": (records.LeaveRecord, lambda record: {}),
    "archive": (records.ArchiveRecord, lambda record: {}),
}
"""For each other kind of record its frame, and the fields of its own."""


def encode_record(record: Record, viewer: str, *, replay: bool = False) -> bytes:
    """A record as the bytes in which `viewer` is told of it."""
    return NativeProtocol.encode(record_event(record, viewer, replay=replay))


def encode_records(page: Iterable[Record], viewer: str) -> bytes:
    """New records as the bytes in which `viewer` is told of them."""
    return NativeProtocol.encode_all([record_event(record, viewer) for record in page])


class Delivery:
    """A published batch on its way to the readers of all reactors; encoded when the first reader needs it."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._encoded: dict[tuple[str, str], bytes] = {}

    def send(self, room: str, subscriptions: Iterable[Subscription]) -> list[Subscription]:
        """Queue what each of these readers of the room lacks of this batch; return those who must read it later.

        That is where the queue has no room, or when records between the cursor and this batch were never queued.
        """
        added = self.batch.records[room]
        before, newest = added[0].seq - 1, added[-1].seq
        shared = None if is_direct(room) else self._whole(room, "")
        behind = []
        for subscription in subscriptions:
            session = subscription.session
            # Nearly all lack just this batch; what is done for them is done for each delivery of all.
            data: bytes | None
            if subscription.cursor == before and subscription.last is None:
                data = self._whole(room, session.username) if shared is None else shared
                last = newest
            else:
                last = newest if subscription.last is None else min(newest, subscription.last)
                data = self._part(added, subscription, last)
            connection = session.connection
            if data is None or connection.queued + len(data) > session.queue_bytes:
                behind.append(subscription)
            elif data:
                connection.queue(data)
                subscription.cursor = last
        return behind

    def _part(self, added: list[Record], subscription: Subscription, last: int) -> bytes | None:
        """What it lacks of these records up to `last`; None where others before them were never queued."""
        cursor = subscription.cursor
        if cursor >= last:
            return b""
        if cursor < added[0].seq - 1:
            return None
        lacking = [record for record in added if cursor < record.seq <= last]
        return encode_records(lacking, subscription.session.username)

    def _whole(self, room: str, viewer: str) -> bytes:
        # Two reactors may both encode, to the same bytes.
        key = (room, viewer)
        data = self._encoded.get(key)
        if data is None:
            data = self._encoded[key] = encode_records(self.batch.records[room], viewer)
        return data

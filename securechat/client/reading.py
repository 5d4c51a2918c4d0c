"""What one client reads for `events()`: which rooms, from which cursors, over all its connections. It drops what was
heard before, lets nothing be heard behind a gap, and says what to ask the server for so that nothing is missing.

It knows frames and cursors, and nothing of threads or connections.
"""

from typing import Final

import msgspec

from securechat.chat.names import is_direct
from securechat.client.cursor import Cursor, Step
from securechat.errors import Refused, SecurechatError
from securechat.limits import ROOMS_PER_REQUEST
from securechat.protocols.frames import (
    Answer,
    AnyRecord,
    AnyRequest,
    Created,
    Joined,
    KickRecord,
    LeaveRecord,
    Left,
    RoomState,
    Subscribe,
    Subscribed,
    Sync,
    Synced,
    Welcome,
)


class Counts(msgspec.Struct):
    """What the client had to set right, so that nobody heard it."""

    repeats: int = 0
    """Records that came again."""
    gaps: int = 0
    """Times that a record came too early, and the room was read again from the cursor."""
    skipped: int = 0
    """Records that the server does not have any more, or that are of a kind which this client does not know."""


class _Room:
    """One room's cursor, and whether it is being read to this connection."""

    def __init__(self, cursor: Cursor, *, is_read: bool) -> None:
        self.cursor: Final = cursor
        self.is_read = is_read
        self.is_asked_again = False
        """A gap was found, and the server was asked to read the room again; it has not answered yet."""
        self.may_skip = False
        """The server has begun again at the cursor: what comes next is all there is."""


class Reading:
    """The rooms of one client."""

    def __init__(self) -> None:
        self.counts: Final = Counts()
        self.rooms_a_sync = ROOMS_PER_REQUEST
        """How many rooms fit in one `sync`."""
        self._reader = ""
        self._rooms: dict[str, _Room] = {}
        self._synced = False

    def welcomed(self, welcome: Welcome) -> list[AnyRequest]:
        """The server let us in, for the first time or again; returns what to ask for, to go on where the last
        connection ended. Raises ChainBroken where a room is not what it was."""
        is_first = not self._reader
        self._reader = welcome.username
        for state in welcome.rooms:
            room = self._rooms.get(state.room)
            if room is not None:
                room.cursor.head(state.head, state.hash)
            else:
                self._rooms[state.room] = self._new_room(state, is_first)
        if is_first:
            return []
        for room in self._rooms.values():
            room.is_asked_again = room.may_skip = False
        return self._begin_again({state.room for state in welcome.rooms})

    def asks(self, request: AnyRequest) -> AnyRequest:
        """The request as it is sent: `sync` begins each room where the `welcome` said that it was, so that nothing is
        missed between the two."""
        if not isinstance(request, Sync):
            return request
        known = [(name, room.cursor.seq) for name, room in self._rooms.items() if not room.is_read]
        spare = max(0, self.rooms_a_sync - len(request.after))
        return Sync(ref=request.ref, after={**dict(known[:spare]), **request.after})

    def answered(self, request: AnyRequest, answer: Answer | SecurechatError) -> None:
        """Note what an answer means for what is read. Raises ChainBroken."""
        match request, answer:
            case Sync(), Synced():
                self._synced = True
                for name, seq in request.after.items():
                    room = self._rooms.get(name)
                    if room is not None and not room.is_read:
                        self._rewind(name, seq)
            case Subscribe(), Subscribed():
                self._subscribed(request, answer)
            case _, Joined() | Created():
                self._entered(answer.room, answer.head, answer.hash)
            case _, Left():
                self._rooms.pop(answer.room, None)
            case Subscribe(), Refused():
                self._rooms.pop(request.room, None)  # the account is not in it any more

    def hears(self, record: AnyRecord) -> tuple[bool, AnyRequest | None]:
        """Whether the record is the next one of its room, and what to ask for if one is missing. Raises ChainBroken."""
        room = self._rooms.get(record.room)
        if room is None or not room.is_read:
            # A room that the account came into just now.
            room = self._rooms[record.room] = _Room(Cursor(record.room, self._reader, record.seq - 1), is_read=True)
        step = room.cursor.take(record)
        if step is Step.REPEAT:
            self.counts.repeats += 1
            return False, None
        if step is Step.GAP:
            if not room.may_skip:
                return False, self._ask_again(record.room, room)
            self.counts.skipped += record.seq - room.cursor.seq - 1
            room.cursor.skip_to(record.seq)
        room.may_skip = False
        if self._ends_here(record):
            del self._rooms[record.room]
        return True, None

    def passes(self, record: AnyRecord) -> None:
        """Note a record that nobody listens to."""
        room = self._rooms.get(record.room)
        if room is not None and record.seq > room.cursor.seq:
            room.cursor.skip_to(record.seq)

    def _new_room(self, state: RoomState, is_first: bool) -> _Room:
        # A direct room that was not there when the last connection ended is new from its first record on.
        seq, named = (0, "") if is_direct(state.room) and not is_first else (state.head, state.hash)
        return _Room(Cursor(state.room, self._reader, seq, named), is_read=False)

    def _begin_again(self, mine: set[str]) -> list[AnyRequest]:
        read = {name: room.cursor.seq for name, room in self._rooms.items() if room.is_read or self._synced}
        if not self._synced:
            return [Subscribe(room=name, after=seq) for name, seq in read.items() if name in mine]
        for name in read.keys() - mine:
            del self._rooms[name]  # the account was taken out of it meanwhile
        places = [(name, seq) for name, seq in read.items() if name in mine]
        beyond = [Subscribe(room=name, after=seq) for name, seq in places[self.rooms_a_sync :]]
        return [*beyond, Sync(after=dict(places[: self.rooms_a_sync]))]

    def _subscribed(self, request: Subscribe, answer: Subscribed) -> None:
        after = answer.head if request.after is None else min(request.after, answer.head)
        room = self._rooms.get(answer.room)
        if room is None:
            named = answer.hash if after == answer.head else ""
            room = self._rooms[answer.room] = _Room(Cursor(answer.room, self._reader, after, named), is_read=True)
        elif not room.is_asked_again and (not room.is_read or request.after is not None):
            room = self._rewind(answer.room, after)
        room.cursor.head(answer.head, answer.hash)
        room.is_asked_again, room.may_skip = False, room.is_asked_again

    def _entered(self, name: str, head: int, named: str) -> None:
        room = self._rooms.get(name)
        if room is None or not room.is_read:
            self._rooms[name] = _Room(Cursor(name, self._reader, head, named), is_read=True)
        else:
            room.cursor.name(head, named)

    def _rewind(self, name: str, seq: int) -> _Room:
        """Read from this number on, because the caller said so."""
        room = self._rooms[name]
        if room.cursor.seq != seq:
            room = self._rooms[name] = _Room(Cursor(name, self._reader, seq), is_read=True)
        room.is_read = True
        return room

    def _ask_again(self, name: str, room: _Room) -> AnyRequest | None:
        if room.is_asked_again:
            return None
        self.counts.gaps += 1
        room.is_asked_again = True
        return Subscribe(room=name, after=room.cursor.seq)

    def _ends_here(self, record: AnyRecord) -> bool:
        return (isinstance(record, LeaveRecord) and record.sender == self._reader) or (
            isinstance(record, KickRecord) and record.target == self._reader
        )

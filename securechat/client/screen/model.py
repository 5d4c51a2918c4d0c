"""Everything that the screen shows: the rooms of an account, which of them is in sight, the connection, and what the
person is doing. It is told what was heard and what was done; it asks nobody, and knows no terminal, thread or clock.
"""

import enum
from collections.abc import Set
from typing import Final

from securechat.chat.names import is_direct
from securechat.client import text
from securechat.client.hearing import Back, Heard, Lost
from securechat.client.screen.rooms import OwnLine, Room
from securechat.client.screen.scrollback import Notice
from securechat.protocols.frames import (
    AnyRecord,
    Broadcast,
    CreateRecord,
    Error,
    Hit,
    InviteRecord,
    JoinRecord,
    KickRecord,
    LeaveRecord,
    Message,
    Presence,
    ReadMarker,
    RecordEvent,
    TopicRecord,
    Welcome,
)

SCROLLBACK: Final = 50_000
"""Items of the room in sight that are kept; past it, those farthest from what is in sight are forgotten, and loaded
again when one scrolls there. About 30 MB of messages as people write them."""

BACKGROUND: Final = 500
"""The same for each room that is not in sight: enough to show it at once."""

BELL_SECONDS: Final = 5.0
"""Between two bells, at least: a flood of mentions must not become a siren."""


class Doing(enum.Enum):
    """What the person does, and so what keys and input mean."""

    TALKING = enum.auto()
    SEARCHING = enum.auto()
    """Typing what to look for."""
    CHOOSING = enum.auto()
    """Among what was found."""
    PASTING = enum.auto()
    """Asked whether a long paste is meant."""
    ANSWERING = enum.auto()
    """Typing what nobody is to see, in answer to a question."""


class Model:
    """One person's screen."""

    def __init__(self, welcome: Welcome, server: str, proof: str, ignored: Set[str]) -> None:
        self.me: Final = welcome.username
        self.server: Final = server
        """Where the server is, as people write it."""
        self.proof: Final = proof
        """How the server was proven: the TLS version and the CA; it is safe."""
        self.rooms: dict[str, Room] = {}
        self.nowhere: Final = Room("")
        """Where notices stand as long as the account is in no room."""
        self.current = self.nowhere
        self.is_connected = True
        self.lag: float | None = None
        """Seconds from the last own line to its acknowledgement; not of a line that waited for a connection."""
        self._back_at = 0.0
        self.is_away = False
        self.ignored: Final = ignored
        """Of whose messages nothing is shown or counted; it changes under way."""
        self.online: dict[str, bool] = {}
        self.doing = Doing.TALKING
        self.hits: tuple[Hit, ...] = ()
        self.hit = 0
        """Which of them is chosen."""
        self.looked_for = ""
        self.pasted = ""
        """A long paste that waits for a yes."""
        self.question = ""
        """What is asked while one is ANSWERING."""
        self.has_ended = False
        self._rang_at = -BELL_SECONDS
        for state in welcome.rooms:
            self.room(state.room).take_state(state)

    # --- rooms ------------------------------------------------------------------------------------------------

    def room(self, name: str) -> Room:
        """The room of this name, which is there from now on."""
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(name)
        return room

    @property
    def listed(self) -> list[Room]:
        """The rooms as they are listed: those of many first, then those with one other person."""
        return sorted(self.rooms.values(), key=lambda room: (room.is_direct, room.name))

    def go_to(self, room: Room) -> None:
        """Have another room in sight."""
        if room is self.current:
            return
        left = self.current
        left.new_after = None
        left.scrollback.trim(BACKGROUND, keep=left.anchor.key if left.anchor else None)
        self.current = room
        room.is_stuck = False
        if left is self.nowhere:
            for item in left.scrollback.items:
                if isinstance(item, Notice):
                    self.tell(item.sentence)
            left.scrollback.clear_notices()
        if room.unread and room.new_after is None:
            room.new_after = room.read

    def next_unread(self) -> Room | None:
        """The room to look at next: one in which the person is meant, then any with something unread."""
        others = [room for room in self.listed if room is not self.current]
        meant = [room for room in others if room.mentions]
        unread = [room for room in others if room.unread]
        return next(iter(meant or unread), None)

    def neighbour(self, step: int) -> Room:
        """The room that is listed so many places behind the one in sight, around the end."""
        listed = self.listed
        if self.current not in listed:
            return listed[0] if listed else self.current
        return listed[(listed.index(self.current) + step) % len(listed)]

    def forget_room(self, name: str) -> None:
        """The account is in this room no more."""
        room = self.rooms.pop(name, None)
        if room is not None and room is self.current:
            listed = self.listed
            self.go_to(listed[0] if listed else self.nowhere)

    def seen(self) -> int:
        """Up to which number the room in sight is read now, if that is news; else 0."""
        room = self.current
        newest = max(room.scrollback.last, 0)
        if room.anchor or self.is_away or not room.scrollback.reaches_head or newest <= room.read:
            return 0
        room.mark_read(newest)
        return newest

    # --- what is heard ----------------------------------------------------------------------------------------

    def hear(self, event: Heard, now: float) -> bool:
        """Take what was heard; whether to ring the bell. `now` is in seconds of a clock that only runs forward."""
        match event:
            case RecordEvent():
                return self._hear_record(event, now)
            case ReadMarker():
                if event.room in self.rooms:
                    self.rooms[event.room].mark_read(event.seq)
            case Presence():
                self.online[event.username] = event.online
            case Broadcast():
                self.tell(f"The operator says: {text.line(event.text)}")
            case Lost():
                self.is_connected = False
            case Back():
                self.is_connected = True
                self._back_at = now
            case Error(ref=None):
                self.tell(text.line(event.message))
        return False

    def come_back(self, welcome: Welcome) -> None:
        """The connection is there again: the rooms are these."""
        mine = {state.room: state for state in welcome.rooms}
        for name in [name for name in self.rooms if name not in mine and not is_direct(name)]:
            self.forget_room(name)
            self.tell(f"You are in {text.name(name)} no more.")
        for room in self.rooms.values():
            room.is_stuck = False
        for name, state in mine.items():
            if name not in self.rooms:
                self.room(name).take_state(state)
            else:
                self.rooms[name].topic = state.topic

    def _hear_record(self, record: AnyRecord, now: float) -> bool:
        ends = (isinstance(record, LeaveRecord) and record.sender == self.me) or (
            isinstance(record, KickRecord) and record.target == self.me
        )
        if ends:
            self.forget_room(record.room)
            if isinstance(record, KickRecord):
                self.tell(f"{text.name(record.sender)} removed you from {text.name(record.room)}.")
            return False
        room = self.room(record.room)
        if record.seq <= room.head and record.seq <= room.scrollback.last:
            return False
        was_new = record.seq > room.head
        room.head = max(room.head, record.seq)
        is_here = room is self.current
        room.scrollback.add(record)
        limit = SCROLLBACK if is_here else BACKGROUND
        room.scrollback.trim(limit, keep=room.anchor.key if room.anchor else None)
        return self._note(room, record, now) if was_new else False

    def _note(self, room: Room, record: AnyRecord, now: float) -> bool:
        """Take what a new record means beside its own lines."""
        if isinstance(record, TopicRecord):
            room.topic = record.text
        elif isinstance(record, CreateRecord):
            room.private = record.target == "private"
        elif isinstance(record, JoinRecord | InviteRecord):
            who = record.sender if isinstance(record, JoinRecord) else record.target
            room.members = tuple(sorted({*room.members, who})) if room.members else ()
        elif isinstance(record, LeaveRecord | KickRecord):
            who = record.sender if isinstance(record, LeaveRecord) else record.target
            room.members = tuple(name for name in room.members if name != who)
        if not isinstance(record, Message):
            return False
        if record.sender == self.me:
            room.drop_own(record.id)
            return False
        if record.sender in self.ignored:
            return False
        room.speak(record.sender)
        room.unread += 1
        if room.new_after is None and (room is not self.current or room.anchor or self.is_away):
            room.new_after = record.seq - 1
        is_meant = room.concerns(record, self.me)
        room.mentions += is_meant
        return is_meant and not record.replay and self._may_ring(now)

    def _may_ring(self, now: float) -> bool:
        if now - self._rang_at < BELL_SECONDS:
            return False
        self._rang_at = now
        return True

    # --- what is done -----------------------------------------------------------------------------------------

    def tell(self, sentence: str) -> None:
        """Show a line of the client's own in the room in sight; it is safe."""
        self.current.scrollback.note(sentence, self.current.head)

    def say(self, line: OwnLine) -> None:
        """An own line is on its way; whoever says something looks at the newest lines again."""
        room = self.room(line.room)
        room.own.append(line)
        room.anchor = None

    def stored(self, id: str, seq: int, now: float) -> None:
        """An own line has its number."""
        for room in self.rooms.values():
            line = room.own_line(id)
            if line is not None:
                line.state, line.seq = "stored", seq
                if line.at >= self._back_at:
                    self.lag = now - line.at
                room.drop_stored()

    def failed(self, id: str, reason: str) -> None:
        """An own line was refused, or is on its way no more; the reason is safe."""
        for room in self.rooms.values():
            line = room.own_line(id)
            if line is not None:
                line.state, line.reason = "failed", reason

    @property
    def own(self) -> list[OwnLine]:
        """The own lines of all rooms that have not come back."""
        return [line for room in self.rooms.values() for line in room.own]

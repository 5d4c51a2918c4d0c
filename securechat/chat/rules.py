"""The rules of chat: what comes of a proposal (`decide`), and what a room is after a record (`apply`).

Pure functions. What is so already is asked of `State`; the time is handed in; nothing is changed here. Who may do what
is the one table `MAY`. This file must not know how records are ordered, kept or delivered.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final, Protocol

import msgspec

from securechat.chat.model import Kind, Outcome, Proposal, Record, Recorded, Rejected, Room, Unchanged
from securechat.chat.names import ID_RULE, ROOM_RULE, direct_members, flaw_in_text, is_direct, is_id, is_room_key
from securechat.errors import Code


class State(Protocol):
    """What has been decided so far, as the rules ask for it."""

    @property
    def text_bytes(self) -> int:
        """The longest text, in bytes of UTF-8."""
        ...

    def room(self, name: str) -> Room | None:
        """The room with this key as it is after all that was decided."""
        ...

    def recorded(self, author: str, id: str) -> Record | None:
        """What this author had recorded under this `id` (never empty), however long ago."""
        ...


class Standing(StrEnum):
    """Where the author of a proposal stands to the room that it names."""

    NOWHERE = "nowhere"
    """There is no such room."""
    STRANGER = "stranger"
    """Not in the room."""
    ADMIN = "admin"
    """Not in the room, but the account has the role `admin`."""
    MEMBER = "member"
    """In the room."""
    OWNER = "owner"
    """In the room, and made it or has the role `admin`."""
    PARTY = "party"
    """One of the two of a direct room, whether or not anything was said in it."""
    THIRD = "third"
    """Anybody else, before a direct room; the role `admin` opens no direct room."""


class Verdict(Enum):
    """What the table says but for a refusal."""

    RECORD = "record"
    UNCHANGED = "unchanged"


_RECORD: Final = Verdict.RECORD
_UNCHANGED: Final = Verdict.UNCHANGED
_NONE: Final = Code.NO_SUCH_ROOM
_OUTSIDE: Final = Code.NOT_MEMBER
_EXISTS: Final = Code.ROOM_EXISTS
_NEVER: Final = Code.FORBIDDEN

MAY: Final[Mapping[Standing, Mapping[Kind, Verdict | Code]]] = {
    Standing.NOWHERE: {"create": _RECORD, "join": _NONE, "leave": _NONE, "say": _NONE},
    Standing.STRANGER: {"create": _EXISTS, "join": _RECORD, "leave": _OUTSIDE, "say": _OUTSIDE},
    Standing.ADMIN: {"create": _EXISTS, "join": _RECORD, "leave": _OUTSIDE, "say": _OUTSIDE},
    Standing.MEMBER: {"create": _EXISTS, "join": _UNCHANGED, "leave": _RECORD, "say": _RECORD},
    Standing.OWNER: {"create": _EXISTS, "join": _UNCHANGED, "leave": _RECORD, "say": _RECORD},
    Standing.PARTY: {"create": _NEVER, "join": _NEVER, "leave": _NEVER, "say": _RECORD},
    # As if it were not there: who speaks with whom is nobody else's business.
    Standing.THIRD: {"create": _NONE, "join": _NONE, "leave": _NONE, "say": _NONE},
}
"""Who may do what: the row is where the author stands, the column what is asked for."""

_WORDS: Final[Mapping[Code, str]] = {
    Code.NO_SUCH_ROOM: "There is no room {room}.",
    Code.ROOM_EXISTS: "There is a room {room} already.",
    Code.NOT_MEMBER: "Join {room} first.",
    Code.FORBIDDEN: "A direct room is made by its first message, and has the same two members for ever.",
}


def decide(state: State, proposal: Proposal, now: int) -> Outcome:
    """Say what comes of a proposal; `now` is milliseconds since 1970 UTC, and may go backwards.

    A repeat of an `id` is answered before membership is looked at: whoever left since gets the first answer again.
    """
    if proposal.id or proposal.kind == "say":
        if not is_id(proposal.id):
            return Rejected(Code.BAD_ID, f"An id has {ID_RULE}.")
        first = state.recorded(proposal.author, proposal.id)
        if first is not None:
            return _repeat(first, proposal)
    room = state.room(proposal.room)
    if room is None and not is_room_key(proposal.room):
        return Rejected(Code.BAD_NAME, f"A room's name has {ROOM_RULE}.")
    verdict = MAY[standing(room, proposal)][proposal.kind]
    if isinstance(verdict, Code):
        return _refusal(verdict, proposal)
    if verdict is Verdict.UNCHANGED:
        return Unchanged(proposal.room)
    if proposal.kind == "say":
        flaw = flaw_in_text(proposal.text, state.text_bytes)
        if flaw is not None:
            return Rejected(Code.BAD_TEXT, flaw)
    head, time = (room.head, room.time) if room is not None else (0, 0)
    return Recorded(
        Record(
            room=proposal.room,
            seq=head + 1,
            kind=proposal.kind,
            sender=proposal.author,
            id=proposal.id,
            time=max(now, time),
            text=proposal.text,
        )
    )


def standing(room: Room | None, proposal: Proposal) -> Standing:
    """Where the author stands to the room that is named; `room` is what there is under its key."""
    if is_direct(proposal.room):
        return Standing.PARTY if proposal.author in direct_members(proposal.room) else Standing.THIRD
    if room is None:
        return Standing.NOWHERE
    if proposal.author not in room.members:
        return Standing.ADMIN if proposal.admin else Standing.STRANGER
    return Standing.OWNER if proposal.admin or proposal.author == room.owner else Standing.MEMBER


def apply(room: Room | None, record: Record) -> Room:
    """The room after its next record; `room` is what there was before, None when this record makes it."""
    if room is None:
        owner = record.sender if record.kind == "create" else ""
        room = Room(record.room, owner=owner, private=is_direct(record.room))
    members = room.members
    if joining := gained(record):
        members = members.union(joining)
    elif leaving := lost(record):
        members = members.difference(leaving)
    return msgspec.structs.replace(room, members=members, head=record.seq, time=record.time)


def gained(record: Record) -> frozenset[str]:
    """Who is a member from this record on; the first record of a direct room brings in both."""
    if record.kind == "say":
        return frozenset(direct_members(record.room)) if record.seq == 1 else frozenset()
    return frozenset((record.sender,)) if record.kind in ("create", "join") else frozenset()


def lost(record: Record) -> frozenset[str]:
    """Who is no member from this record on."""
    return frozenset((record.sender,)) if record.kind == "leave" else frozenset()


def _repeat(first: Record, proposal: Proposal) -> Outcome:
    if (first.room, first.kind, first.text) == (proposal.room, proposal.kind, proposal.text):
        return Recorded(first, duplicate=True)
    return Rejected(Code.ID_REUSED, f"The id {proposal.id} is taken by something else that you sent.")


def _refusal(code: Code, proposal: Proposal) -> Rejected:
    if code is Code.NOT_MEMBER and proposal.kind == "leave":
        return Rejected(code, f"You are not in {proposal.room}.")
    return Rejected(code, _WORDS[code].format(room=proposal.room))

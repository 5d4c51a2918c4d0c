"""Who may do what: one table, by where the author stands to the room and what is asked for.

Pure values and functions. What else may be wrong with a proposal (its text, the message that it is about) is a matter
of `chat.rules`.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final, Literal, Protocol, TypeAlias, get_args

from securechat.chat.model import Kind, Rejected, Room
from securechat.chat.names import direct_members, is_direct
from securechat.errors import Code


class Standing(StrEnum):
    """Where the author of a proposal stands to the room that it names."""

    NOWHERE = "nowhere"
    """There is no such room."""
    UNINVITED = "uninvited"
    """Not in the room, and it is private: as if it were not there, but that its name is taken."""
    STRANGER = "stranger"
    """Not in the room, which is open to all."""
    ADMIN = "admin"
    """Not in the room, private or not, but the account has the role `admin`."""
    MEMBER = "member"
    """In a room that is open to all."""
    INVITED = "invited"
    """In a private room."""
    OWNER = "owner"
    """In the room, and made it or has the role `admin`."""
    PARTY = "party"
    """One of the two of a direct room, whether or not anything was said in it."""
    THIRD = "third"
    """Anybody else, before a direct room; the role `admin` opens no direct room."""
    ARCHIVED = "archived"
    """Whoever may do it by another row, in an archived room."""


class Verdict(Enum):
    """What the table says but for a refusal."""

    RECORD = "record"
    OWN = "own"
    """It is recorded if the message that it is about is the author's own, and else forbidden."""
    UNCHANGED = "unchanged"


_YES: Final = Verdict.RECORD
_OWN: Final = Verdict.OWN
_SAME: Final = Verdict.UNCHANGED
_NONE: Final = Code.NO_SUCH_ROOM
_OUT: Final = Code.NOT_MEMBER
_TAKEN: Final = Code.ROOM_EXISTS
_NO: Final = Code.FORBIDDEN

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Act: TypeAlias = Kind | Literal["ban", "unban"]
"""What can be asked for in a room: a record, or what is remembered of it beside its log."""

ACTS: Final[tuple[Act, ...]] = (*KINDS, "ban", "unban")


class Asked(Protocol):
    """Who asks for something in which room."""

    @property
    def author(self) -> str: ...
    @property
    def room(self) -> str: ...
    @property
    def admin(self) -> bool: ...


# fmt: off
_ROWS: Final[Mapping[Standing, tuple[Verdict | Code, ...]]] = {
    #                    create  join   leave  say    topic  invite kick   edit   delete archive ban   unban
    Standing.NOWHERE:   (_YES,   _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE,  _NONE, _NONE),
    Standing.UNINVITED: (_TAKEN, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE,  _NONE, _NONE),
    Standing.STRANGER:  (_TAKEN, _YES,  _OUT,  _OUT,  _OUT,  _OUT,  _OUT,  _OUT,  _OUT,  _OUT,   _OUT,  _OUT),
    Standing.ADMIN:     (_TAKEN, _YES,  _OUT,  _OUT,  _YES,  _YES,  _YES,  _OUT,  _YES,  _YES,   _YES,  _YES),
    Standing.MEMBER:    (_TAKEN, _SAME, _YES,  _YES,  _YES,  _YES,  _NO,   _OWN,  _OWN,  _NO,    _NO,   _NO),
    Standing.INVITED:   (_TAKEN, _SAME, _YES,  _YES,  _NO,   _NO,   _NO,   _OWN,  _OWN,  _NO,    _NO,   _NO),
    Standing.OWNER:     (_TAKEN, _SAME, _YES,  _YES,  _YES,  _YES,  _YES,  _OWN,  _YES,  _YES,   _YES,  _YES),
    Standing.PARTY:     (_NO,    _NO,   _NO,   _YES,  _NO,   _NO,   _NO,   _OWN,  _OWN,  _NO,    _NO,   _NO),
    # Who speaks with whom is nobody else's business.
    Standing.THIRD:     (_NONE,  _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE,  _NONE, _NONE),
    Standing.ARCHIVED:  (_TAKEN, _YES,  _YES,  _NO,   _NO,   _NO,   _NO,   _NO,   _NO,   _SAME,  _NO,   _NO),
}
# fmt: on

MAY: Final[Mapping[Standing, Mapping[Act, Verdict | Code]]] = {
    standing: dict(zip(ACTS, row, strict=True)) for standing, row in _ROWS.items()
}
"""Who may do what: the row is where the author stands, the column what is asked for."""

_WORDS: Final[Mapping[Code, str]] = {
    Code.NO_SUCH_ROOM: "There is no room {room}.",
    Code.ROOM_EXISTS: "There is a room {room} already.",
    Code.NOT_MEMBER: "Join {room} first.",
}


def standing(room: Room | None, asked: Asked) -> Standing:
    """Where the author stands to the room that is named; `room` is what there is under its key."""
    if is_direct(asked.room):
        return Standing.PARTY if asked.author in direct_members(asked.room) else Standing.THIRD
    if room is None:
        return Standing.NOWHERE
    if asked.author not in room.members:
        if asked.admin:
            return Standing.ADMIN
        return Standing.UNINVITED if room.private else Standing.STRANGER
    if asked.admin or asked.author == room.owner:
        return Standing.OWNER
    return Standing.INVITED if room.private else Standing.MEMBER


def verdict(room: Room | None, asked: Asked, act: Act) -> Verdict | Code:
    """What the table says to whoever asks for this; in an archived room, what is left of it."""
    said = MAY[standing(room, asked)][act]
    if room is not None and room.archived and said in (Verdict.RECORD, Verdict.OWN):
        return MAY[Standing.ARCHIVED][act]
    return said


def refusal_by_table(code: Code, room: Room | None, asked: Asked, act: Act) -> Rejected:
    """The table's refusal in words."""
    if code is Code.FORBIDDEN:
        return Rejected(code, _forbidden(room, asked, act))
    if code is Code.NOT_MEMBER and act == "leave":
        return Rejected(code, f"You are not in {asked.room}.")
    return Rejected(code, _WORDS[code].format(room=asked.room))


def _forbidden(room: Room | None, asked: Asked, act: Act) -> str:
    if is_direct(asked.room):
        if act in ("topic", "archive", "ban", "unban"):
            return "A direct room has no topic and no owner."
        return "A direct room is made by its first message, and has the same two members for ever."
    if room is not None and room.archived:
        return f"{asked.room} is archived: one can read, join and leave it."
    return f"Only the owner of {asked.room} or an admin may do that."

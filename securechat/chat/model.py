"""The values of chat: rooms, records, proposals and outcomes. Frozen, and ignorant of how they travel or are kept.

A room's name is its key. A direct room's key is `@` and its two members in order, `@alice:bob`;
a person in it sees it as `@` and the other one (`names.shown_room`).
"""

from typing import Literal, TypeAlias

import msgspec

from securechat.errors import Code

Kind = Literal["create", "join", "leave", "say"]
"""What a record says happened."""


class Record(msgspec.Struct, frozen=True):
    """One entry of a room. `seq` counts 1, 2, 3 … without gaps; `time` is milliseconds since 1970 UTC and never goes
    backwards within a room; `id` is the author's own (empty where the request had none); `text` is for `say` alone."""

    room: str
    seq: int
    kind: Kind
    sender: str
    id: str
    time: int
    text: str = ""


class Room(msgspec.Struct, frozen=True):
    """A room as it is after its newest record; replaced whole, never changed in place.

    `head` is the newest record's `seq` and `time` its time (0 and 0 when nothing was recorded). `private` rooms are
    nobody's business but their members'; direct rooms are private and have no owner."""

    name: str
    owner: str = ""
    topic: str = ""
    private: bool = False
    members: frozenset[str] = frozenset()
    head: int = 0
    time: int = 0


class Proposal(msgspec.Struct, frozen=True):
    """A change that `author` asks for. `room` is the room's key; `id` may be empty for all but `say`;
    `admin` says that the author's account has the role `admin`."""

    kind: Kind
    author: str
    room: str
    id: str = ""
    text: str = ""
    admin: bool = False


class Recorded(msgspec.Struct, frozen=True):
    """The log has it: now, or (`duplicate`) since the same `id` was first sent."""

    record: Record
    duplicate: bool = False


class Unchanged(msgspec.Struct, frozen=True):
    """What was asked for is so already (joining a room one is in); nothing was recorded."""

    room: str


class Rejected(msgspec.Struct, frozen=True):
    """Nothing was recorded; `code` and `message` go to the author."""

    code: Code
    message: str


Outcome: TypeAlias = Recorded | Unchanged | Rejected

"""The values of chat: rooms, records, what is asked for and what comes of it. Frozen, and ignorant of how they travel
or are kept.

A room's name is its key. A direct room's key is `@` and its two members in order, `@alice:bob`;
a person in it sees it as `@` and the other one (`names.shown_room`).
"""

from typing import Literal, TypeAlias

import msgspec

from securechat.chat.accounts import Role, SetAccount, SetHook
from securechat.errors import Code

Kind = Literal["create", "join", "leave", "say", "topic", "invite", "kick", "edit", "delete", "archive"]
"""What a record says happened."""

InvitationState: TypeAlias = Literal["open", "used", "revoked"]
"""What has become of an invitation."""


class Record(msgspec.Struct, frozen=True):
    """One entry of a room. `seq` counts 1, 2, 3 … without gaps; `time` is milliseconds since 1970 UTC and never goes
    backwards within a room; `id` is the author's own (empty where the request had none).

    `text` is that of a say, an edit or a topic. `target` is the account that an invite or a kick is about; on the
    `create` of a private room it is the word `private`. `about` is the `seq` of the say that an edit changes, a delete
    erases or a say replies to (0: none). `salt` is random, 16 bytes where there is a text; where text and salt were
    erased, `erased` is the commitment to them (32 bytes). `hash` is the room's chain up to here (`chat.chain`)."""

    room: str
    seq: int
    kind: Kind
    sender: str
    id: str
    time: int
    text: str = ""
    target: str = ""
    about: int = 0
    salt: bytes = b""
    erased: bytes = b""
    hash: bytes = b""


class Room(msgspec.Struct, frozen=True):
    """A room as it is after its newest record; replaced whole, never changed in place.

    `head` is the newest record's `seq`, `time` its time and `hash` its hash (0 and 0 when nothing was recorded).
    `private` rooms are nobody's business but their members'; direct rooms are private and have no owner. Nothing is
    said in an `archived` room. The records up to `base` are gone, and `base_hash` is where their chain had got to."""

    name: str
    owner: str = ""
    topic: str = ""
    private: bool = False
    members: frozenset[str] = frozenset()
    head: int = 0
    time: int = 0
    archived: bool = False
    hash: bytes = b""
    base: int = 0
    base_hash: bytes = b""


class Proposal(msgspec.Struct, frozen=True, tag=str.lower):
    """A record that `author` asks for. `room` is the room's key; `id` may be empty for all but `say` and `edit`;
    `admin` says that the author's account has the role `admin`; `private` is for `create`, the rest as in Record.

    Whoever submits a text makes its `salt` (16 random bytes), so that all who decide on it get the same hashes."""

    kind: Kind
    author: str
    room: str
    id: str = ""
    text: str = ""
    admin: bool = False
    target: str = ""
    about: int = 0
    private: bool = False
    salt: bytes = b""


class Mark(msgspec.Struct, frozen=True, tag=str.lower):
    """The account has read the room up to `seq`; the greatest counts. With a `consumer` it is that program of the
    account that has got so far, and the account's own marker is another; at 0 there is no such cursor (any more)."""

    account: str
    room: str
    seq: int
    consumer: str = ""

    @property
    def place(self) -> str:
        """What it marks, of what the account has marks of: the room, or `room/consumer`. No name holds a slash."""
        return f"{self.room}/{self.consumer}" if self.consumer else self.room


class Forget(msgspec.Struct, frozen=True, tag=str.lower):
    """Keep no cursor of this consumer of the account any more, in whatever room."""

    account: str
    consumer: str


class Grant(msgspec.Struct, frozen=True, tag=str.lower):
    """Let whoever has the token with this hash come in as the account; `device` is what its owner calls it by.

    `fingerprint` is that of the password's hash of today: the tokens that the account has get it too, for what a change
    of the password ends was ended then, and the same password may have been hashed anew."""

    account: str
    token_hash: bytes
    device: str = ""
    fingerprint: bytes = b""


class Revoke(msgspec.Struct, frozen=True, tag=str.lower):
    """Let nobody come in any more with this token of the account, or with any of them (None) but the one `kept`, which
    gets the `fingerprint` of another password, if there is one."""

    account: str
    token_hash: bytes | None = None
    kept: bytes = b""
    fingerprint: bytes = b""


class Barrier(msgspec.Struct, frozen=True, tag=str.lower):
    """Nothing changes: where this is decided, all that was ordered before it is known."""


class Expire(msgspec.Struct, frozen=True, tag=str.lower):
    """Erase the room's records up to `upto`, oldest first; one change takes but a limited step of it."""

    room: str
    upto: int


class Issue(msgspec.Struct, frozen=True, tag=str.lower):
    """Invite somebody to become `account` with the secret of this hash, for `lifetime` milliseconds from then on.

    The account will have this role, and be a member of these rooms. An earlier invitation of the same account that is
    open is revoked by it."""

    account: str
    secret_hash: bytes
    lifetime: int
    role: Role = "member"
    rooms: tuple[str, ...] = ()


class Redeem(msgspec.Struct, frozen=True, tag=str.lower):
    """Take up the invitation of this account whose secret has this hash; whoever is first has it."""

    account: str
    secret_hash: bytes


class RevokeInvitation(msgspec.Struct, frozen=True, tag=str.lower):
    """Let nobody take up the open invitation of this account any more."""

    account: str


SanctionKind = Literal["ban", "mute"]
"""A ban keeps an account out; a muted account may read, and say nothing."""


class Impose(msgspec.Struct, frozen=True, tag=str.lower):
    """Ban or mute the account for so many milliseconds from then on (0: until it is lifted); `author` is who does it.

    A ban also revokes the account's tokens. With a `room` it is a ban from that room alone: it ends the membership, and
    `admin` says, as in Proposal, that the author's account has that role."""

    account: str
    kind: SanctionKind
    lifetime: int
    author: str
    room: str = ""
    admin: bool = False


class Lift(msgspec.Struct, frozen=True, tag=str.lower):
    """End a ban or a mute before its time; the rest is as in Impose."""

    account: str
    kind: SanctionKind
    author: str = ""
    room: str = ""
    admin: bool = False


class Sanction(msgspec.Struct, frozen=True):
    """What was imposed on an account, since when and until when: milliseconds since 1970 UTC; 0: until it is lifted.

    Without a `room` it holds everywhere."""

    account: str
    kind: SanctionKind
    until: int
    since: int
    author: str
    room: str = ""


Change: TypeAlias = (
    Mark
    | Forget
    | Grant
    | Revoke
    | Barrier
    | Expire
    | Issue
    | Redeem
    | RevokeInvitation
    | Impose
    | Lift
    | SetAccount
    | SetHook
)
"""What is ordered and kept as proposals are, but is no record of a room. Each has a tag, its name, by which it is known
among the others where it travels."""


class Token(msgspec.Struct, frozen=True):
    """A session token that is in force: whose it is, on which device, since when (milliseconds since 1970 UTC), and for
    which password (`accounts.tokens.fingerprint`; empty: not known)."""

    account: str
    device: str
    created: int
    fingerprint: bytes = b""


class Invitation(msgspec.Struct, frozen=True):
    """An invitation to become `account`, with this role and in these rooms; times are milliseconds since 1970 UTC.

    It can be taken up while it is `open`, before `expires`; afterwards it is only remembered, to tell whoever tries."""

    account: str
    role: Role
    rooms: tuple[str, ...]
    created: int
    expires: int
    state: InvitationState = "open"


class Recorded(msgspec.Struct, frozen=True):
    """The log has it: now, or (`duplicate`) since the same `id` was first sent."""

    record: Record
    duplicate: bool = False


class Changed(msgspec.Struct, frozen=True):
    """The change was made, in the extent that it says: an expiry may have got only a part of the way."""

    change: Change


class Unchanged(msgspec.Struct, frozen=True):
    """What was asked for is so already (joining a room one is in); nothing was recorded. `room` is empty for what is no
    matter of a room."""

    room: str


class Rejected(msgspec.Struct, frozen=True):
    """Nothing was recorded, as far as is known; `code` and `message` go to the author, and in how many seconds it is
    worth another try."""

    code: Code
    message: str
    retry_after: float | None = None


Outcome: TypeAlias = Recorded | Changed | Unchanged | Rejected

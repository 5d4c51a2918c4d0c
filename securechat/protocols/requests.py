"""What a client can ask. Fields that are not known are refused.

This file knows nothing of bytes on a wire, of sessions or of rooms; docs/protocol.md says what each frame means.
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from securechat.limits import (
    DEVICE_LENGTH,
    ID_LENGTH,
    NAME_LENGTH,
    PAGE_RECORDS,
    ROOM_NAME_LENGTH,
    ROOMS_PER_REQUEST,
    SAFE_INTEGER,
    SANCTION_DAYS,
    SEARCH_HITS,
    SEARCH_LENGTH,
)

Ref = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)] | None
"""The client's own mark on a request; the answer carries it back."""

# Lengths only: what a name may hold is `chat.names`, and is answered with its own code.
RoomName = Annotated[str, Meta(max_length=ROOM_NAME_LENGTH)]
Id = Annotated[str, Meta(max_length=ID_LENGTH)]
Username = Annotated[str, Meta(max_length=NAME_LENGTH)]
Seq = Annotated[int, Meta(ge=0, le=SAFE_INTEGER)]
RecordSeq = Annotated[int, Meta(ge=1, le=SAFE_INTEGER)]
Time = Annotated[int, Meta(ge=0, le=SAFE_INTEGER)]


class Request(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"
):
    """What a client can ask; every request may carry a `ref`."""

    ref: Ref = None


class Login(Request, frozen=True, kw_only=True, tag="login"):
    """The client says who it is, once, before anything else; `device` is a name for people to tell sessions apart."""

    username: Annotated[str, Meta(max_length=256)]
    password: str
    device: Annotated[str, Meta(max_length=DEVICE_LENGTH)] = ""

    def __repr__(self) -> str:  # a password is in no traceback and in no log
        return f"Login(username={self.username!r})"


class Resume(Request, frozen=True, kw_only=True, tag="resume"):
    """The client comes back with the token that an earlier `welcome` gave it, in the place of `login`."""

    token: str

    def __repr__(self) -> str:  # a token opens the same door as a password
        return "Resume()"


class Authority(Request, frozen=True, kw_only=True, tag="authority"):
    """The client asks for the certificate of the server's CA: the one request that makes sense before it has proof."""


class Redeem(Request, frozen=True, kw_only=True, tag="redeem"):
    """The client comes in with an invitation, in the place of `login`: the account is made, with this password."""

    username: Username
    secret: Annotated[str, Meta(max_length=256)]
    password: str
    device: Annotated[str, Meta(max_length=DEVICE_LENGTH)] = ""

    def __repr__(self) -> str:  # neither secret is in a traceback or a log
        return f"Redeem(username={self.username!r})"


class Logout(Request, frozen=True, kw_only=True, tag="logout"):
    """The client ends its session; the answer is `bye` and the end of the connection."""


class Ping(Request, frozen=True, kw_only=True, tag="ping"):
    """The client asks, at any time, whether the server is there; the answer is `pong`."""


class Pong(Request, frozen=True, kw_only=True, tag="pong"):
    """The client answers the server's `ping`; it has no answer itself."""


class Create(Request, frozen=True, kw_only=True, tag="create"):
    """The client makes a new room; the account becomes its owner and a member, and this session reads it."""

    room: RoomName
    private: bool = False


class Join(Request, frozen=True, kw_only=True, tag="join"):
    """The client makes its account a member of a public room; this session reads it from the head on."""

    room: RoomName


class Leave(Request, frozen=True, kw_only=True, tag="leave"):
    """The client ends the membership of its account in a room; all sessions of the account stop reading it."""

    room: RoomName


class Topic(Request, frozen=True, kw_only=True, tag="topic"):
    """The client says what a room is about; an empty `text` says nothing again."""

    room: RoomName
    text: str
    id: Id = ""


class Invite(Request, frozen=True, kw_only=True, tag="invite"):
    """The client makes another account a member of a room."""

    room: RoomName
    username: Username
    id: Id = ""


class Kick(Request, frozen=True, kw_only=True, tag="kick"):
    """The client ends the membership of another account in a room."""

    room: RoomName
    username: Username
    id: Id = ""


class Ban(Request, frozen=True, kw_only=True, tag="ban"):
    """The client keeps another account out of a room, for so many seconds or (0) until it is lifted."""

    room: RoomName
    username: Username
    seconds: Annotated[int, Meta(ge=0, le=SANCTION_DAYS * 86_400)] = 0


class Unban(Request, frozen=True, kw_only=True, tag="unban"):
    """The client lets a banned account into a room again."""

    room: RoomName
    username: Username


class Rooms(Request, frozen=True, kw_only=True, tag="rooms"):
    """The client asks for all public rooms and its account's own."""


class Members(Request, frozen=True, kw_only=True, tag="members"):
    """The client asks who is in a room that its account is in."""

    room: RoomName


class Say(Request, frozen=True, kw_only=True, tag="say"):
    """The client says something in a room; `id` is its own, and makes a repeat harmless."""

    id: Id
    room: RoomName
    text: str
    reply_to: RecordSeq | None = None


class Edit(Request, frozen=True, kw_only=True, tag="edit"):
    """The client replaces what its account said in the record `seq`; the first text stays in the log."""

    id: Id
    room: RoomName
    seq: RecordSeq
    text: str


class Delete(Request, frozen=True, kw_only=True, tag="delete"):
    """The client has the text of the record `seq` erased, and of its edits; the number stays."""

    room: RoomName
    seq: RecordSeq
    id: Id = ""


class Read(Request, frozen=True, kw_only=True, tag="read"):
    """The client says that its account, or one `consumer` of it, has read a room up to `seq`; a smaller number than
    before changes nothing."""

    room: RoomName
    seq: Seq
    consumer: Username = ""


class Consumers(Request, frozen=True, kw_only=True, tag="consumers"):
    """The client asks where the consumers of its account have got to."""


class Forget(Request, frozen=True, kw_only=True, tag="forget"):
    """The client has the cursors of a consumer of its account forgotten, in whatever room they are."""

    consumer: Username


class Search(Request, frozen=True, kw_only=True, tag="search"):
    """The client asks for what was said in the rooms of its account and contains `text`, the newest first."""

    text: Annotated[str, Meta(max_length=SEARCH_LENGTH)]
    room: RoomName | None = None
    from_: Username | None = msgspec.field(default=None, name="from")
    before: Time | None = None
    after: Time | None = None
    limit: Annotated[int, Meta(ge=1, le=SEARCH_HITS)] = 20


class History(Request, frozen=True, kw_only=True, tag="history"):
    """The client reads one page of a room's past: the newest records, or those next to `before` or `after`."""

    room: RoomName
    before: Seq | None = None
    after: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_RECORDS)] = 50


class Subscribe(Request, frozen=True, kw_only=True, tag="subscribe"):
    """The client has one room read to this session: what comes after the cursor `after`, or only what is new."""

    room: RoomName
    after: Seq | None = None


class Sync(Request, frozen=True, kw_only=True, tag="sync"):
    """The client has all rooms of its account read to this session, present and future, those named from a cursor."""

    after: Annotated[dict[RoomName, Seq], Meta(max_length=ROOMS_PER_REQUEST)] = {}


class Sessions(Request, frozen=True, kw_only=True, tag="sessions"):
    """The client asks where its account is logged in."""


class Revoke(Request, frozen=True, kw_only=True, tag="revoke"):
    """The client ends a session of its account, wherever it is, and its token."""

    session: Id


class Password(Request, frozen=True, kw_only=True, tag="password"):
    """The client gives its account a new password; all other sessions of the account end, and their tokens."""

    old: str
    new: str

    def __repr__(self) -> str:
        return "Password()"


AnyRequest: TypeAlias = (
    Login
    | Resume
    | Authority
    | Redeem
    | Logout
    | Ping
    | Pong
    | Create
    | Join
    | Leave
    | Topic
    | Invite
    | Kick
    | Ban
    | Unban
    | Rooms
    | Members
    | Say
    | Edit
    | Delete
    | Read
    | Consumers
    | Forget
    | History
    | Search
    | Subscribe
    | Sync
    | Sessions
    | Revoke
    | Password
)

"""The one vocabulary between a session and every protocol: requests (from a client) and events (to it).

Two tagged unions, one each way, so that a frame of the server's is an error when a client sends it. Fields that are
not known are refused in requests and ignored in events: an old client lives with a newer server.
This file knows nothing of bytes on a wire, of sessions or of rooms; docs/protocol.md says what each frame means.
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from securechat.limits import (
    DEVICE_LENGTH,
    ID_LENGTH,
    PAGE_RECORDS,
    ROOM_NAME_LENGTH,
    ROOMS_PER_REQUEST,
    SAFE_INTEGER,
)

Ref = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)] | None
"""The client's own mark on a request; the answer carries it back."""

# Lengths only: what a name may hold is `chat.names`, and is answered with its own code.
RoomName = Annotated[str, Meta(max_length=ROOM_NAME_LENGTH)]
Seq = Annotated[int, Meta(ge=0, le=SAFE_INTEGER)]


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


class Logout(Request, frozen=True, kw_only=True, tag="logout"):
    """The client ends its session; the answer is `bye` and the end of the connection."""


class Ping(Request, frozen=True, kw_only=True, tag="ping"):
    """The client asks, at any time, whether the server is there; the answer is `pong`."""


class Pong(Request, frozen=True, kw_only=True, tag="pong"):
    """The client answers the server's `ping`; it has no answer itself."""


class Create(Request, frozen=True, kw_only=True, tag="create"):
    """The client makes a new room; the account becomes its owner and a member, and this session reads it."""

    room: RoomName


class Join(Request, frozen=True, kw_only=True, tag="join"):
    """The client makes its account a member of a public room; this session reads it from the head on."""

    room: RoomName


class Leave(Request, frozen=True, kw_only=True, tag="leave"):
    """The client ends the membership of its account in a room; all sessions of the account stop reading it."""

    room: RoomName


class Rooms(Request, frozen=True, kw_only=True, tag="rooms"):
    """The client asks for all public rooms and its account's own."""


class Members(Request, frozen=True, kw_only=True, tag="members"):
    """The client asks who is in a room that its account is in."""

    room: RoomName


class Say(Request, frozen=True, kw_only=True, tag="say"):
    """The client says something in a room; `id` is its own, and makes a repeat harmless."""

    id: Annotated[str, Meta(max_length=ID_LENGTH)]
    room: RoomName
    text: str


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


AnyRequest: TypeAlias = (
    Login | Logout | Ping | Pong | Create | Join | Leave | Rooms | Members | Say | History | Subscribe | Sync
)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What a client can be told; a field that has its default is left out."""


class Answer(Event, frozen=True, kw_only=True):
    """An event that answers a request and carries its `ref` back."""

    ref: str | None = None


class LineLimits(msgspec.Struct, frozen=True):
    """What the server takes from this client: bytes of a line with its newline, and of a message's text."""

    line: int
    text: int


class RoomState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room as one account sees it in a list; `joined` says that the account is a member."""

    room: str
    head: int
    members: int
    topic: str = ""
    private: bool = False
    joined: bool = False


class Hello(Event, frozen=True, kw_only=True, tag="hello"):
    """The server speaks first: which protocol this is, how one can log in, how long a line may be."""

    protocol: int
    auth: tuple[str, ...]
    limits: LineLimits


class Welcome(Answer, frozen=True, kw_only=True, tag="welcome"):
    """The server answers a `login` that succeeded; `rooms` are those of the account."""

    username: str
    role: str
    session: str
    version: str
    rooms: tuple[RoomState, ...]


class PingPeer(Event, frozen=True, kw_only=True, tag="ping"):
    """The server asks a silent client whether it is there; any byte is an answer, `pong` says nothing else."""


class PongAnswer(Answer, frozen=True, kw_only=True, tag="pong"):
    """The server answers `ping`."""


class Joined(Answer, frozen=True, kw_only=True, tag="joined"):
    """The server answers `join`: the account is a member, and the session reads what comes after `head`."""

    room: str
    head: int
    members: int


class Created(Answer, frozen=True, kw_only=True, tag="created"):
    """The server answers `create`: the room is there, and the session reads what comes after `head`."""

    room: str
    head: int


class Left(Answer, frozen=True, kw_only=True, tag="left"):
    """The server answers `leave`: the account is a member no more."""

    room: str


class RoomList(Answer, frozen=True, kw_only=True, tag="rooms"):
    """The server answers `rooms`."""

    rooms: tuple[RoomState, ...]


class MemberList(Answer, frozen=True, kw_only=True, tag="members"):
    """The server answers `members`."""

    room: str
    members: tuple[str, ...]


class Ack(Answer, frozen=True, kw_only=True, tag="ack"):
    """The server answers `say`: the record is on disk; `duplicate` says that it was already."""

    id: str
    room: str
    seq: int
    time: int
    duplicate: bool = False


class RecordEvent(Event, frozen=True, kw_only=True):
    """One record of a room. `seq`, `sender` and `time` come from the server alone."""

    room: str
    seq: int
    sender: str
    time: int
    id: str = ""


class Message(RecordEvent, frozen=True, kw_only=True, tag="message"):
    """The server tells each reader of a room, the author too, what somebody said."""

    text: str


class CreateRecord(RecordEvent, frozen=True, kw_only=True, tag="create"):
    """The server tells the readers of a room that `sender` made it; always the first record."""


class JoinRecord(RecordEvent, frozen=True, kw_only=True, tag="join"):
    """The server tells each reader of a room that `sender` became a member."""


class LeaveRecord(RecordEvent, frozen=True, kw_only=True, tag="leave"):
    """The server tells each reader of a room that `sender` is a member no more."""


AnyRecord: TypeAlias = Message | CreateRecord | JoinRecord | LeaveRecord


class Page(Answer, frozen=True, kw_only=True, tag="page"):
    """The server answers `history`: records, oldest first; `more` says that there are others in that direction."""

    room: str
    records: tuple[AnyRecord, ...]
    more: bool


class Subscribed(Answer, frozen=True, kw_only=True, tag="subscribed"):
    """The server answers `subscribe`; `head` is the newest `seq` at that moment."""

    room: str
    head: int


class Synced(Answer, frozen=True, kw_only=True, tag="synced"):
    """The server answers `sync`: every room of the account is being read to this session."""


class Error(Answer, frozen=True, kw_only=True, tag="error"):
    """The server answers a request that it refuses, or bytes that are none; `code` is one of `errors.Code`."""

    code: str
    message: str
    retry_after: float | None = None


class Bye(Event, frozen=True, kw_only=True, tag="bye"):
    """The server says why it closes the connection; nothing follows."""

    code: str
    message: str
    retry_after: float | None = None


AnyEvent: TypeAlias = (
    Hello
    | Welcome
    | PingPeer
    | PongAnswer
    | Joined
    | Created
    | Left
    | RoomList
    | MemberList
    | Ack
    | Message
    | CreateRecord
    | JoinRecord
    | LeaveRecord
    | Page
    | Subscribed
    | Synced
    | Error
    | Bye
)

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


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What every request may carry."""

    ref: Ref = None


class Login(Request, frozen=True, kw_only=True, tag="login"):
    username: Annotated[str, Meta(max_length=256)]
    password: str
    device: Annotated[str, Meta(max_length=DEVICE_LENGTH)] = ""

    def __repr__(self) -> str:  # a password is in no traceback and in no log
        return f"Login(username={self.username!r})"


class Logout(Request, frozen=True, kw_only=True, tag="logout"):
    pass


class Ping(Request, frozen=True, kw_only=True, tag="ping"):
    pass


class Pong(Request, frozen=True, kw_only=True, tag="pong"):
    """The answer to the server's `ping`; it has no answer itself."""


class Create(Request, frozen=True, kw_only=True, tag="create"):
    room: RoomName


class Join(Request, frozen=True, kw_only=True, tag="join"):
    room: RoomName


class Leave(Request, frozen=True, kw_only=True, tag="leave"):
    room: RoomName


class Rooms(Request, frozen=True, kw_only=True, tag="rooms"):
    pass


class Members(Request, frozen=True, kw_only=True, tag="members"):
    room: RoomName


class Say(Request, frozen=True, kw_only=True, tag="say"):
    id: Annotated[str, Meta(max_length=ID_LENGTH)]
    room: RoomName
    text: str


class History(Request, frozen=True, kw_only=True, tag="history"):
    room: RoomName
    before: Seq | None = None
    after: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_RECORDS)] = 50


class Subscribe(Request, frozen=True, kw_only=True, tag="subscribe"):
    room: RoomName
    after: Seq | None = None
    """The cursor: what comes after this `seq` is replayed, then what is new follows. None: only what is new."""


class Sync(Request, frozen=True, kw_only=True, tag="sync"):
    after: Annotated[dict[RoomName, Seq], Meta(max_length=ROOMS_PER_REQUEST)] = {}


AnyRequest: TypeAlias = (
    Login | Logout | Ping | Pong | Create | Join | Leave | Rooms | Members | Say | History | Subscribe | Sync
)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What a client can be told."""


class Answer(Event, frozen=True, kw_only=True):
    """An event that answers a request and carries its `ref` back."""

    ref: str | None = None


class LineLimits(msgspec.Struct, frozen=True):
    line: int
    text: int


class RoomState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room as a list of rooms shows it to one account."""

    room: str
    head: int
    members: int
    topic: str = ""
    private: bool = False
    joined: bool = False


class Hello(Event, frozen=True, kw_only=True, tag="hello"):
    protocol: int
    auth: tuple[str, ...]
    limits: LineLimits


class Welcome(Answer, frozen=True, kw_only=True, tag="welcome"):
    username: str
    role: str
    session: str
    version: str
    rooms: tuple[RoomState, ...]
    """The rooms of this account."""


class PingPeer(Event, frozen=True, kw_only=True, tag="ping"):
    """Is anybody there? Any byte is an answer; `pong` says nothing else."""


class PongAnswer(Answer, frozen=True, kw_only=True, tag="pong"):
    pass


class Joined(Answer, frozen=True, kw_only=True, tag="joined"):
    room: str
    head: int
    members: int


class Created(Answer, frozen=True, kw_only=True, tag="created"):
    room: str
    head: int


class Left(Answer, frozen=True, kw_only=True, tag="left"):
    room: str


class RoomList(Answer, frozen=True, kw_only=True, tag="rooms"):
    rooms: tuple[RoomState, ...]


class MemberList(Answer, frozen=True, kw_only=True, tag="members"):
    room: str
    members: tuple[str, ...]


class Ack(Answer, frozen=True, kw_only=True, tag="ack"):
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
    text: str


class CreateRecord(RecordEvent, frozen=True, kw_only=True, tag="create"):
    pass


class JoinRecord(RecordEvent, frozen=True, kw_only=True, tag="join"):
    pass


class LeaveRecord(RecordEvent, frozen=True, kw_only=True, tag="leave"):
    pass


AnyRecord: TypeAlias = Message | CreateRecord | JoinRecord | LeaveRecord


class Page(Answer, frozen=True, kw_only=True, tag="page"):
    room: str
    records: tuple[AnyRecord, ...]
    more: bool


class Subscribed(Answer, frozen=True, kw_only=True, tag="subscribed"):
    room: str
    head: int


class Synced(Answer, frozen=True, kw_only=True, tag="synced"):
    pass


class Error(Answer, frozen=True, kw_only=True, tag="error"):
    code: str
    message: str
    retry_after: float | None = None


class Bye(Event, frozen=True, kw_only=True, tag="bye"):
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

"""What the server says that is no record: the answers to requests, and what it says by itself.

This file knows nothing of bytes on a wire, of sessions or of rooms; docs/protocol.md says what each frame means.
"""

from typing import TypeAlias

import msgspec

from securechat.protocols.records import AnyRecord, Event


class Answer(Event, frozen=True, kw_only=True):
    """An event that answers a request and carries its `ref` back."""

    ref: str | None = None


class LineLimits(msgspec.Struct, frozen=True):
    """What the server takes from this client: bytes of a line with its newline, and of a message's text."""

    line: int
    text: int


class RoomState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room as one account sees it in a list; `joined` says that the account is a member, `read` how far it has read,
    `hash` is the chain's at `head`."""

    room: str
    head: int
    members: int
    topic: str = ""
    private: bool = False
    joined: bool = False
    archived: bool = False
    read: int = 0
    hash: str = ""


class Hello(Event, frozen=True, kw_only=True, tag="hello"):
    """The server speaks first: which protocol this is, how one can log in, how long a line may be."""

    protocol: int
    auth: tuple[str, ...]
    limits: LineLimits


class Welcome(Answer, frozen=True, kw_only=True, tag="welcome"):
    """The server answers a `login`, `resume` or `redeem` that succeeded; `rooms` are those of the account, and `token`
    is not given to a `resume`. `next_ca` is the certificate of the CA after the server's own, in PEM form, while it is
    announced, and `next_ca_signature` that CA's word for it; `nodes` are all addresses of the chat, if several."""

    username: str
    role: str
    session: str
    version: str
    rooms: tuple[RoomState, ...]
    token: str = ""
    next_ca: str = ""
    next_ca_signature: str = ""
    nodes: tuple[str, ...] = ()

    def __repr__(self) -> str:  # a token opens the same door as a password
        return f"Welcome(username={self.username!r}, session={self.session!r})"


class AuthorityCertificate(Answer, frozen=True, kw_only=True, tag="authority"):
    """The server answers `authority`: its CA's certificate in PEM form. It is worth something to who can compare it."""

    certificate: str


class PingPeer(Event, frozen=True, kw_only=True, tag="ping"):
    """The server asks a silent client whether it is there; any byte is an answer, `pong` says nothing else."""


class PongAnswer(Answer, frozen=True, kw_only=True, tag="pong"):
    """The server answers `ping`."""


class Joined(Answer, frozen=True, kw_only=True, tag="joined"):
    """The server answers `join`: the account is a member, and the session reads what comes after `head`."""

    room: str
    head: int
    members: int
    hash: str = ""


class Created(Answer, frozen=True, kw_only=True, tag="created"):
    """The server answers `create`: the room is there, and the session reads what comes after `head`."""

    room: str
    head: int
    hash: str = ""


class Left(Answer, frozen=True, kw_only=True, tag="left"):
    """The server answers `leave`: the account is a member no more."""

    room: str


class RoomList(Answer, frozen=True, kw_only=True, tag="rooms"):
    """The server answers `rooms`."""

    rooms: tuple[RoomState, ...]


class MemberList(Answer, frozen=True, kw_only=True, tag="members"):
    """The server answers `members`; `online` are those who have a session now. Who may ban from the room is told who is
    `banned`."""

    room: str
    members: tuple[str, ...]
    online: tuple[str, ...] = ()
    banned: tuple[str, ...] = ()


class Ack(Answer, frozen=True, kw_only=True, tag="ack"):
    """The server answers what changes a room: it is on disk. `duplicate` says that it was already; `unchanged`, that
    what was asked for is so already, and that nothing was recorded."""

    id: str
    room: str
    seq: int
    time: int
    duplicate: bool = False
    unchanged: bool = False


class ReadMarker(Answer, frozen=True, kw_only=True, tag="read"):
    """The server answers `read`: the account, or this `consumer` of it, has read the room up to `seq`. The account's
    other sessions are told of the account's own."""

    room: str
    seq: int
    consumer: str = ""


class CursorState(msgspec.Struct, frozen=True):
    """Up to where a consumer of an account has got in a room."""

    consumer: str
    room: str
    seq: int


class ConsumerList(Answer, frozen=True, kw_only=True, tag="consumers"):
    """The server answers `consumers` and `forget`: the cursors that it keeps of the account's consumers."""

    cursors: tuple[CursorState, ...]


class Page(Answer, frozen=True, kw_only=True, tag="page"):
    """The server answers `history`: records, oldest first; `more` says that there are others in that direction.
    `base` and `hash` are the chain's before the first of them and at the last."""

    room: str
    records: tuple[AnyRecord, ...]
    more: bool
    base: str = ""
    hash: str = ""


class Hit(msgspec.Struct, frozen=True):
    """One find of a search: a record, and the room that it is in."""

    room: str
    record: AnyRecord


class Found(Answer, frozen=True, kw_only=True, tag="found"):
    """The server answers `search`, the newest first; `more` says that older ones were found too."""

    hits: tuple[Hit, ...]
    more: bool


class Subscribed(Answer, frozen=True, kw_only=True, tag="subscribed"):
    """The server answers `subscribe`; `head` is the newest `seq` at that moment, `hash` the chain's there."""

    room: str
    head: int
    hash: str = ""


class Synced(Answer, frozen=True, kw_only=True, tag="synced"):
    """The server answers `sync`: every room of the account is being read to this session."""


class SessionState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One login of an account, from `welcome` until its token ends; `online` says that it is connected."""

    session: str
    created: int
    device: str = ""
    online: bool = False
    current: bool = False


class SessionList(Answer, frozen=True, kw_only=True, tag="sessions"):
    """The server answers `sessions`."""

    sessions: tuple[SessionState, ...]


class Revoked(Answer, frozen=True, kw_only=True, tag="revoked"):
    """The server answers `revoke`: the session is over and its token opens nothing."""


class PasswordChanged(Answer, frozen=True, kw_only=True, tag="changed"):
    """The server answers `password`: the new one holds, and the other sessions end."""


class Presence(Event, frozen=True, kw_only=True, tag="presence"):
    """The server tells who shares a room with `username` that its first session began, or its last one ended."""

    username: str
    online: bool


class Broadcast(Event, frozen=True, kw_only=True, tag="broadcast"):
    """The operator tells everybody who is connected; it is no record, and whoever is away never hears it."""

    text: str


class NodeList(Event, frozen=True, kw_only=True, tag="nodes"):
    """The chat has other addresses from now on than `welcome` said: `nodes` are all of them."""

    nodes: tuple[str, ...]


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
    | AuthorityCertificate
    | PingPeer
    | PongAnswer
    | Joined
    | Created
    | Left
    | RoomList
    | MemberList
    | Ack
    | ReadMarker
    | ConsumerList
    | AnyRecord
    | Page
    | Found
    | Subscribed
    | Synced
    | SessionList
    | Revoked
    | PasswordChanged
    | Presence
    | Broadcast
    | NodeList
    | Error
    | Bye
)

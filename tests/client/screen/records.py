"""Records and screens without a server, for the parts of the screen that are pure."""

from collections.abc import Set
from typing import Any

from securechat.client.screen.model import Model
from securechat.client.screen.rendering import Renderer, Row
from securechat.client.screen.viewport import Viewport
from securechat.protocols.frames import DeleteRecord, EditRecord, Message, RoomState, Welcome

NOON = 1_795_608_000_000
"""2026-11-25 12:00 UTC, in milliseconds."""


def message(seq: int, text: str = "", *, sender: str = "bob", room: str = "lobby", **fields: Any) -> Message:
    """A message, a second after the one before it."""
    return Message(room=room, seq=seq, sender=sender, time=NOON + 1000 * seq, text=text or f"line {seq}", **fields)


def edit(seq: int, about: int, text: str, *, sender: str = "bob") -> EditRecord:
    """An edit."""
    return EditRecord(room="lobby", seq=seq, sender=sender, time=NOON + 1000 * seq, about=about, text=text)


def delete(seq: int, about: int, *, sender: str = "bob") -> DeleteRecord:
    """A deletion."""
    return DeleteRecord(room="lobby", seq=seq, sender=sender, time=NOON + 1000 * seq, about=about)


def welcome(*rooms: RoomState) -> Welcome:
    """What alice is told when she comes in."""
    return Welcome(username="alice", role="member", session="s", version="0", rooms=rooms)


def state(room: str, head: int = 0, read: int = 0) -> RoomState:
    """A room of alice's."""
    return RoomState(room=room, head=head, members=2, joined=True, read=read)


def model(*rooms: RoomState, ignored: Set[str] = frozenset()) -> Model:
    """Alice's screen, with the first of the rooms in sight."""
    made = Model(welcome(*(rooms or (state("lobby"),))), "localhost:7443", "TLS 1.3, CA 0F:1E", ignored)
    made.go_to(made.rooms[(rooms or (state("lobby"),))[0].room])
    return made


def viewport(width: int = 80, height: int = 10, hidden: frozenset[str] = frozenset()) -> Viewport:
    """A viewport for alice."""
    made = Viewport(Renderer("alice"), hidden)
    made.width, made.height = width, height
    return made


def plain(rows: list[Row]) -> list[str]:
    """The lines without their styles."""
    return ["".join(piece for _, piece in row).rstrip() for row in rows]

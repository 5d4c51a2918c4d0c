"""Requests that ask for a change of a room: each becomes one proposal, and the journal decides it."""

from typing import TYPE_CHECKING

from securechat.chat.model import Impose, Lift, Mark
from securechat.chat.names import NAME_RULE, is_direct, is_username
from securechat.errors import Code
from securechat.protocols import frames

if TYPE_CHECKING:
    from securechat.server.requests import Requests


def create(asked: "Requests", request: frames.Create) -> None:
    """Make a room."""
    room = asked.resolve(request.room, request.ref)
    if room is not None:
        asked.propose("create", room, request.ref, private=request.private)


def join(asked: "Requests", request: frames.Join) -> None:
    """Become a member."""
    room = asked.resolve(request.room, request.ref)
    if room is not None:
        asked.propose("join", room, request.ref)


def leave(asked: "Requests", request: frames.Leave) -> None:
    """Be a member no more."""
    room = asked.resolve(request.room, request.ref)
    if room is not None:
        asked.propose("leave", room, request.ref)


def say(asked: "Requests", request: frames.Say) -> None:
    """Say something; the first line to somebody makes the direct room, so there must be such an account."""
    room = asked.resolve(request.room, request.ref)
    if room is None:
        return
    if is_direct(room) and room not in asked.services.view.rooms and not asked.knows(request.room[1:], request.ref):
        return
    asked.propose("say", room, request.ref, id=request.id, text=request.text, about=request.reply_to or 0)


def topic(asked: "Requests", request: frames.Topic) -> None:
    """Say what the room is about."""
    room = asked.resolve(request.room, request.ref)
    if room is not None:
        asked.propose("topic", room, request.ref, id=request.id, text=request.text)


def invite(asked: "Requests", request: frames.Invite) -> None:
    """Make somebody else a member."""
    room = asked.resolve(request.room, request.ref)
    if room is not None and asked.knows(request.username, request.ref):
        asked.propose("invite", room, request.ref, id=request.id, target=request.username)


def kick(asked: "Requests", request: frames.Kick) -> None:
    """End somebody's membership."""
    room = asked.resolve(request.room, request.ref)
    if room is not None and asked.knows(request.username, request.ref):
        asked.propose("kick", room, request.ref, id=request.id, target=request.username)


def ban(asked: "Requests", request: frames.Ban) -> None:
    """Keep somebody out of a room."""
    room = asked.resolve(request.room, request.ref)
    if room is not None and asked.knows(request.username, request.ref):
        lifetime = request.seconds * 1_000
        asked.submit(Impose(request.username, "ban", lifetime, asked.username, room, asked.is_admin), request.ref)


def unban(asked: "Requests", request: frames.Unban) -> None:
    """Let somebody in again; the account may be gone since."""
    room = asked.resolve(request.room, request.ref)
    if room is not None:
        asked.submit(Lift(request.username, "ban", asked.username, room, asked.is_admin), request.ref)


def edit(asked: "Requests", request: frames.Edit) -> None:
    """Replace what one has said."""
    room = asked.resolve(request.room, request.ref)
    if room is not None:
        asked.propose("edit", room, request.ref, id=request.id, text=request.text, about=request.seq)


def delete(asked: "Requests", request: frames.Delete) -> None:
    """Erase what was said."""
    room = asked.resolve(request.room, request.ref)
    if room is not None:
        asked.propose("delete", room, request.ref, id=request.id, about=request.seq)


def read(asked: "Requests", request: frames.Read) -> None:
    """Remember how far the account has read; not further than there is something to read."""
    if request.consumer and not is_username(request.consumer):
        asked.session.refuse(request.ref, Code.BAD_NAME, f"A consumer's name has {NAME_RULE}.")
        return
    room = asked.own_room(request.room, request.ref)
    if room is not None:
        seq = min(request.seq, room.head)
        asked.submit(Mark(asked.username, room.name, seq, request.consumer), request.ref)

"""Requests that read: rooms, members, pages of history, searches, subscriptions. Nothing is changed here but what a
session hears."""

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from securechat.chat import sanctions
from securechat.chat.model import Lift
from securechat.chat.names import shown_room
from securechat.chat.standing import Verdict, verdict
from securechat.errors import Code
from securechat.protocols import frames
from securechat.server.fanout import text_of_bytes
from securechat.server.pages import find, read_history

if TYPE_CHECKING:
    from securechat.server.requests import Requests

log = logging.getLogger(__name__)


def rooms(asked: "Requests", request: frames.Rooms) -> None:
    """All public rooms and the account's own."""
    shown = [room for room in tuple(asked.services.view.rooms.values()) if asked.sees(room)]
    shown.sort(key=lambda room: room.name)
    asked.session.tell(frames.RoomList(ref=request.ref, rooms=tuple(map(asked.room_state, shown))))


def members(asked: "Requests", request: frames.Members) -> None:
    """Who is in a room, and who of them is here."""
    room = asked.own_room(request.room, request.ref)
    if room is not None:
        names = tuple(sorted(room.members))
        unban = Lift("", "ban", asked.username, room.name, asked.is_admin)
        banned = (
            sanctions.banned_from(asked.services.view.sanctions, room.name, time.time_ns() // 1_000_000)
            if verdict(room, unban, "unban") is Verdict.RECORD
            else ()
        )
        asked.session.tell(
            frames.MemberList(
                ref=request.ref,
                room=shown_room(room.name, asked.username),
                members=names,
                online=tuple(name for name in names if asked.services.presence.is_online(name)),
                banned=tuple(sorted(banned)),
            )
        )


def history(asked: "Requests", request: frames.History) -> None:
    """One page of a room's past."""
    room = asked.own_room(request.room, request.ref)
    if room is None:
        return
    if request.before is not None and request.after is not None:
        asked.session.refuse(request.ref, Code.BAD_FRAME, "A page is before or after a number, not both.")
        return
    work = read_history(request, room, asked.username, asked.limits.page_bytes)
    asked.have_done(partial(asked.services.reading.submit, work), partial(_found, asked, request), request)


def search(asked: "Requests", request: frames.Search) -> None:
    """What was said in the account's rooms and contains a text."""
    inside = asked.services.view.rooms_of.get(asked.username, frozenset())
    if request.room is not None:
        room = asked.own_room(request.room, request.ref)
        if room is None:
            return
        inside = frozenset((room.name,))
    work = find(request, inside, asked.username)
    asked.have_done(partial(asked.services.searching.submit, work), partial(_found, asked, request), request)


def _found(asked: "Requests", request: frames.Request, result: bytes | Exception) -> None:
    if isinstance(result, bytes):
        asked.session.connection.queue(result)
    else:
        log.error("%s could not be answered: %s", type(request).__name__.lower(), result, extra=asked.session.who())
        asked.session.refuse(request.ref, Code.STORAGE, "The server cannot read its store.")


def subscribe(asked: "Requests", request: frames.Subscribe) -> None:
    """Read one room to this session, from a cursor or from its head."""
    room = asked.own_room(request.room, request.ref)
    if room is not None:
        shown = shown_room(room.name, asked.username)
        asked.session.tell(
            frames.Subscribed(ref=request.ref, room=shown, head=room.head, hash=text_of_bytes(room.hash))
        )
        cursor = room.head if request.after is None else min(request.after, room.head)
        asked.subscriptions.begin(room.name, cursor)


def sync(asked: "Requests", request: frames.Sync) -> None:
    """Read all rooms of the account to this session, those to come too."""
    view = asked.services.view
    after = {asked.key(shown): seq for shown, seq in request.after.items()}
    asked.session.is_synced = True
    asked.session.tell(frames.Synced(ref=request.ref))
    for key in sorted(view.rooms_of.get(asked.username, ())):
        head = view.rooms[key].head
        if key in after or key not in asked.subscriptions:
            asked.subscriptions.begin(key, min(after.get(key, head), head))

"""`securechat rooms` and `who`: what there is to talk in, and who is there, as the server tells a member."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli import completion
from securechat.cli.app import app
from securechat.cli.options import Json
from securechat.cli.way_in import WayIn, comes_in

if TYPE_CHECKING:
    from securechat.protocols.frames import RoomState


@app.command("rooms")
@comes_in
def list_rooms(
    as_json: Json = False,
    *,
    way: WayIn,
) -> None:
    """List the public rooms and your own, as the server tells you.

    A star stands before those you are in.
    """
    import msgspec

    with way.connect() as client:
        rooms = client.rooms()
    if as_json:
        typer.echo(json.dumps([{**_DEFAULTS, **msgspec.to_builtins(room)} for room in rooms]))
        return
    for room in rooms:
        typer.echo(_line(room))


@app.command("who")
@comes_in
def list_members(
    room: Annotated[
        str, typer.Argument(metavar="ROOM", autocompletion=completion.rooms, help="The room; @NAME for a person.")
    ],
    as_json: Json = False,
    *,
    way: WayIn,
) -> None:
    """List who is in a room; a star is before those who are here."""
    from securechat.client import text
    from securechat.protocols.frames import MemberList, Members

    with way.connect() as client:
        answer = client.request(Members(room=room), MemberList)
    here = frozenset(answer.online)
    if as_json:
        typer.echo(json.dumps([{"username": name, "online": name in here} for name in answer.members]))
        return
    for name in answer.members:
        typer.echo(f"{'*' if name in here else ' '} {text.name(name)}")


_DEFAULTS = {"topic": "", "private": False, "joined": False, "archived": False, "read": 0}


def _line(room: "RoomState") -> str:
    from securechat.client import text

    unread = f"{room.head - room.read} unread" if room.joined and room.head > room.read else ""
    notes = [word for word, is_so in (("private", room.private), ("archived", room.archived)) if is_so]
    row = f"{'*' if room.joined else ' '} {text.name(room.room):<24} {room.members:>6} members {room.head:>9} records"
    return "  ".join(filter(None, (row, unread, *notes, text.line(room.topic))))

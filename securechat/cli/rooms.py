"""`securechat room …`: look at rooms in the store, and change them, through the server if one runs."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli.app import Group, app
from securechat.cli.moderation import account_exists, change, milliseconds
from securechat.cli.options import Home, Json, Lasting
from securechat.cli.proof import shown_hash

if TYPE_CHECKING:
    from securechat.chat.model import Kind, Room

room_app = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Look at rooms and change them.")
app.add_typer(room_app, name="room")

Name = Annotated[str, typer.Argument(metavar="ROOM", help="The room's name.")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")]


@room_app.command("list")
def list_rooms(as_json: Json = False, home: Home = Path()) -> None:
    """List the rooms, direct rooms left out."""
    rooms = sorted((room for room in _rooms(home) if not room.name.startswith("@")), key=lambda room: room.name)
    if as_json:
        typer.echo(json.dumps([_facts(room) for room in rooms]))
        return
    for room in rooms:
        notes = [word for word, is_so in (("private", room.private), ("archived", room.archived)) if is_so]
        typer.echo(f"{room.name:<24} {len(room.members):>6} members {room.head:>9} records  {' '.join(notes)}".rstrip())


@room_app.command("show")
def show(name: Name, as_json: Json = False, home: Home = Path()) -> None:
    """Show one room."""
    from securechat.client import text

    facts = _facts(existing_room(home, name))
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for key, value in facts.items():
        typer.echo(f"{key:<9} {text.line(str(value))}")


@room_app.command("members")
def members(name: Name, as_json: Json = False, home: Home = Path()) -> None:
    """List who is in a room."""
    names = sorted(existing_room(home, name).members)
    typer.echo(json.dumps(names) if as_json else "\n".join(names), nl=bool(names) or as_json)


@room_app.command("create")
def create(
    name: Name,
    owner: Annotated[str, typer.Option("--owner", help="The account that owns it.")],
    private: Annotated[bool, typer.Option("--private", help="Only those who are invited may come in.")] = False,
    home: Home = Path(),
) -> None:
    """Make a room for an account, its owner."""
    account_exists(home, owner)
    _propose(home, "create", name, f"The room {name} is there; {owner} owns it.", author=owner, private=private)


@room_app.command("archive")
def archive(name: Name, home: Home = Path()) -> None:
    """Close a room: it can be read, and nothing more is said in it."""
    _propose(home, "archive", name, f"The room {name} is archived.")


@room_app.command("invite")
def invite(name: Name, account: Account, home: Home = Path()) -> None:
    """Make an account a member of a room."""
    account_exists(home, account)
    _propose(home, "invite", name, f"{account} is in {name}.", target=account)


@room_app.command("kick")
def kick(name: Name, account: Account, home: Home = Path()) -> None:
    """End an account's membership of a room."""
    _propose(home, "kick", name, f"{account} is not in {name} any more.", target=account)


@room_app.command("ban")
def ban(name: Name, account: Account, lasting: Lasting = None, home: Home = Path()) -> None:
    """Keep an account out of a room, for a time or until it is lifted.

    It is a member no more, and cannot come in or be invited meanwhile.
    """
    from securechat.chat.model import Impose
    from securechat.server.control import OPERATOR

    account_exists(home, account)
    impose = Impose(account, "ban", milliseconds(lasting), OPERATOR, existing_room(home, name).name, admin=True)
    done = f"{account} is banned from {name}{f' for {lasting}' if lasting else ''}."
    typer.echo(done if change(home, impose) else "It is so already.", err=True)


@room_app.command("unban")
def unban(name: Name, account: Account, home: Home = Path()) -> None:
    """Let an account into a room again."""
    from securechat.chat.model import Lift
    from securechat.server.control import OPERATOR

    lift = Lift(account, "ban", OPERATOR, existing_room(home, name).name, admin=True)
    typer.echo(f"{account} is not banned from {name}{' any more' if change(home, lift) else ''}.", err=True)


@room_app.command("export")
def export_room(name: Name, home: Home = Path()) -> None:
    """Print a room's records as JSON, one a line, oldest first."""
    from contextlib import closing

    from securechat.client import text
    from securechat.journal.reader import Reader
    from securechat.server.pages import export

    room = existing_room(home, name)
    with closing(Reader(home / "chat.db")) as reader:
        for line in export(reader, room.name):
            typer.echo(text.json_line(line.decode().rstrip("\n")))


def _facts(room: "Room") -> dict[str, object]:
    return {
        "room": room.name,
        "owner": room.owner,
        "topic": room.topic,
        "private": room.private,
        "archived": room.archived,
        "members": len(room.members),
        "head": room.head,
        "hash": shown_hash(room.hash),
    }


def _rooms(home: Path) -> "list[Room]":
    from securechat.errors import NotFound
    from securechat.journal.reader import Reader

    path = home / "chat.db"
    if not path.exists():
        raise NotFound(f"There is no {path} yet.", hint="`securechat serve` makes it.")
    reader = Reader(path)
    try:
        return reader.rooms()
    finally:
        reader.close()


def existing_room(home: Path, name: str) -> "Room":
    """The room of this name, as the store has it. Raises NotFound."""
    from securechat.errors import NotFound

    for room in _rooms(home):
        if room.name == name:
            return room
    raise NotFound(f"There is no room {name!a}.", hint="See `securechat room list`.")


def _propose(home: Path, kind: "Kind", room: str, done: str, author: str = "", **fields: object) -> None:
    unchanged = propose_for_operator(home, kind, room, author, **fields)
    typer.echo("It is so already." if unchanged else done, err=True)


def propose_for_operator(home: Path, kind: "Kind", room: str, author: str = "", **fields: object) -> bool:
    """Have this change of a room made, by the server if one runs; whether it was so already.

    `author` is the operator unless it is given. Raises AlreadyExists, NotFound, and SecurechatError for other refusals.
    """
    from securechat.chat.model import Proposal
    from securechat.config import load_config
    from securechat.errors import AlreadyExists, Code, NotFound, SecurechatError
    from securechat.server.control import OPERATOR
    from securechat.server.operating import propose

    config = load_config(home, os.environ, {})
    proposal = Proposal(kind, author or OPERATOR, room, admin=True, **fields)  # type: ignore[arg-type] # target, private
    answer = propose(home, config, proposal)
    if answer.code:
        missing = (Code.NO_SUCH_ROOM, Code.NOT_MEMBER, Code.NO_SUCH_RECORD)
        kinds = {Code.ROOM_EXISTS: AlreadyExists, **dict.fromkeys(missing, NotFound)}
        raise kinds.get(Code(answer.code), SecurechatError)(answer.message)
    return answer.unchanged

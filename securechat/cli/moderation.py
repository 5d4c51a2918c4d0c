"""`securechat kick|ban|unban|mute|unmute|sanctions`: keep an account out, or silent. The journal decides."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli.app import app
from securechat.cli.options import Home, Json, Lasting

if TYPE_CHECKING:
    from securechat.chat.model import Change, Sanction, SanctionKind

Name = Annotated[str, typer.Argument(metavar="NAME", help="The username.", show_default=False)]


@app.command()
def kick(name: Name, home: Home = Path()) -> None:
    """End the sessions of an account and revoke its tokens.

    It may log in again with its password.
    """
    from securechat.chat.model import Revoke

    account_exists(home, name)
    done = change(home, Revoke(name))
    typer.echo(f"The sessions of {name} are over." if done else f"{name} has no session.", err=True)


@app.command()
def broadcast(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.", show_default=False)], home: Home = Path()
) -> None:
    """Say something to everybody who is connected; it is not kept."""
    from securechat.cli.server import asked
    from securechat.server.control import Broadcast

    count = asked(home, Broadcast(text)).value
    typer.echo(f"Told in {count} sessions.", err=True)


@app.command()
def ban(name: Name, lasting: Lasting = None, home: Home = Path()) -> None:
    """Keep an account out, for a time or until `unban`.

    Its sessions end and its tokens are revoked.
    """
    _impose(home, name, "ban", lasting, "is banned")


@app.command()
def unban(name: Name, home: Home = Path()) -> None:
    """Let a banned account log in again."""
    _lift(home, name, "ban", "is not banned")


@app.command()
def mute(name: Name, lasting: Lasting = None, home: Home = Path()) -> None:
    """Let an account read but say nothing, for a time or until unmute."""
    _impose(home, name, "mute", lasting, "is muted")


@app.command()
def unmute(name: Name, home: Home = Path()) -> None:
    """Let a muted account speak again."""
    _lift(home, name, "mute", "is not muted")


@app.command()
def sanctions(as_json: Json = False, home: Home = Path()) -> None:
    """List who is banned or muted, where, and until when."""
    from contextlib import closing

    from securechat.chat.sanctions import holds
    from securechat.errors import NotFound
    from securechat.journal.reader import Reader

    now = time.time_ns() // 1_000_000
    path = home / "chat.db"
    if not path.exists():
        raise NotFound(f"There is no {path} yet.", hint="`securechat serve` makes it.")
    with closing(Reader(path)) as reader:
        found = [one for one in reader.sanctions() if holds(one, now)]
    if as_json:
        typer.echo(json.dumps([_facts(one) for one in found]))
        return
    for one in found:
        facts = _facts(one)
        where = f"  in {one.room}" if one.room else ""
        typer.echo(
            f"{one.account:<20} {one.kind:<5} until {facts['until'] or 'it is lifted':<22} by {one.author}{where}"
        )


def _impose(home: Path, name: str, kind: "SanctionKind", lasting: str | None, done: str) -> None:
    from securechat.chat.model import Impose
    from securechat.server.control import OPERATOR

    account_exists(home, name)
    lifetime = milliseconds(lasting)
    changed = change(home, Impose(name, kind, lifetime, OPERATOR))
    how_long = f" for {lasting}" if lasting else f" until `securechat un{kind} {name}`"
    typer.echo(f"{name} {done}{how_long}." if changed else "It is so already.", err=True)


def _lift(home: Path, name: str, kind: "SanctionKind", done: str) -> None:
    from securechat.chat.model import Lift

    account_exists(home, name)
    changed = change(home, Lift(name, kind))
    typer.echo(f"{name} {done} any more." if changed else f"{name} {done}.", err=True)


def milliseconds(lasting: str | None) -> int:
    """How long a sanction lasts; 0 for one that is lifted. Raises UsageError for what is no time."""
    from securechat.client.commands import read_seconds
    from securechat.limits import SANCTION_DAYS

    return 0 if lasting is None else read_seconds(lasting, SANCTION_DAYS) * 1_000


def change(home: Path, change: "Change") -> bool:
    """Have it decided; whether anything changed. Raises SecurechatError."""
    from securechat.config import load_config
    from securechat.server.operating import propose

    answer = propose(home, load_config(home, os.environ, {}), change)
    if answer.code:
        raise answer.error()
    return not answer.unchanged


def account_exists(home: Path, name: str) -> None:
    """Raise NotFound where there is no such account."""
    from securechat.server.known import existing_account

    existing_account(home, name)


def _facts(one: "Sanction") -> dict[str, object]:
    since, until = (datetime.fromtimestamp(time / 1_000, UTC) for time in (one.since, one.until))
    return {
        "account": one.account,
        "kind": one.kind,
        "room": one.room,
        "since": f"{since:%Y-%m-%d %H:%M} UTC",
        "until": f"{until:%Y-%m-%d %H:%M} UTC" if one.until else "",
        "by": one.author,
    }

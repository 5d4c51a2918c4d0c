"""`securechat sessions …`: where accounts are logged in, and ending it, by the operator. The journal decides."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli.app import Group, app
from securechat.cli.moderation import account_exists, change
from securechat.cli.options import Home, Json
from securechat.errors import NotFound

if TYPE_CHECKING:
    from securechat.chat.model import Token

sessions_app = typer.Typer(
    cls=Group, no_args_is_help=True, rich_markup_mode=None, help="See where accounts are logged in, and end it."
)
app.add_typer(sessions_app, name="sessions")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The username.", show_default=False)]
SomeName = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of this account only.", show_default=False)]


@sessions_app.command("list")
def list_sessions(name: SomeName = None, as_json: Json = False, home: Home = Path()) -> None:
    """List the logins whose tokens are in force, the oldest first."""
    from securechat.client.text import line

    rows = [_facts(key, token) for key, token in _tokens(home).items() if name in (None, token.account)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{row['account']:<20} {row['session']:<16} {row['created']:<22} {line(row['device'])}".rstrip())


@sessions_app.command("revoke")
def revoke(
    name: Name,
    session: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="This one only, as `list` names it.", show_default=False)
    ] = None,
    home: Home = Path(),
) -> None:
    """End the logins of an account, or one of them.

    Their connections are closed, and their tokens open nothing any more.
    """
    from securechat.chat.model import Revoke
    from securechat.server.own_account import session_name

    account_exists(home, name)
    token_hash = None
    if session is not None:
        known = {session_name(key): key for key, token in _tokens(home).items() if token.account == name}
        if session not in known:
            raise NotFound(f"{name} has no session {session!a}.", hint="See: securechat sessions list")
        token_hash = known[session]
    done = change(home, Revoke(name, token_hash))
    typer.echo("They are over." if done else f"{name} has no session.", err=True)


def _tokens(home: Path) -> "dict[bytes, Token]":
    from contextlib import closing

    from securechat.journal.reader import Reader

    path = home / "chat.db"
    if not path.exists():
        raise NotFound(f"There is no {path} yet.", hint="`securechat serve` makes it.")
    with closing(Reader(path)) as reader:
        return reader.tokens()


def _facts(token_hash: bytes, token: "Token") -> dict[str, str]:
    from securechat.server.own_account import session_name

    return {
        "account": token.account,
        "session": session_name(token_hash),
        "device": token.device,
        "created": f"{datetime.fromtimestamp(token.created / 1_000, UTC):%Y-%m-%d %H:%M} UTC",
    }

"""`securechat hook …`: webhooks, by which other services say something in a room. It knows no HTTP."""

import contextlib
import json
import os
from pathlib import Path
from typing import Annotated

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import NOT_YET, Home, Json
from securechat.cli.rooms import existing_room, propose_for_operator

hook_app = typer.Typer(
    name="hook", cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Let other services say something here."
)
app.add_typer(hook_app)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The hook's name, under which it speaks.")]


@hook_app.command("add")
def add_hook(
    name: Name,
    room: Annotated[str, typer.Option("--room", metavar="ROOM", help="The room in which it speaks.")],
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Make a webhook for a room, and show its token once.

    Whoever has the token can say something in the room with POST /hook/TOKEN on the server's http_port, as an account
    of the hook's name, which nobody can log in to.
    """
    from securechat.accounts.changing import AccountChange
    from securechat.accounts.passwords import generate, hash_password
    from securechat.accounts.tokens import hash_token, new_token
    from securechat.chat.accounts import Hook
    from securechat.chat.names import NAME_RULE, is_username
    from securechat.config import load_config
    from securechat.errors import SecurechatError, UsageError
    from securechat.server import operating

    if not is_username(name):
        raise UsageError(f"No hook can be called {name!a}.", hint=f"Its name is {NAME_RULE}.")
    existing_room(home, room)
    config, token = load_config(home, os.environ, {}), new_token()
    account = AccountChange("add", name, state="hook", password=hash_password(generate()))
    is_in_force = operating.change_account(home, config, account)
    try:
        propose_for_operator(home, "invite", room, target=name)
        operating.add_hook(home, config, Hook(name, room, hash_token(token)))
    except SecurechatError:
        operating.change_account(home, config, AccountChange("remove", name))
        raise
    if not is_in_force:
        typer.echo(NOT_YET, err=True)
    port = config.http_port
    if as_json:
        typer.echo(json.dumps({"name": name, "room": room, "token": token, "http_port": port}))
        return
    typer.echo(f"The token of {name}, shown only now:", err=True)
    typer.echo(token)
    at = f"http://127.0.0.1:{port or 'PORT'}/hook/TOKEN"
    typer.echo(f"It speaks in {room}. Try: curl --data-binary hello {at}", err=True)
    if port is None:
        typer.echo("The server answers over HTTP once http_port is set in securechat.toml.", err=True)


@hook_app.command("list")
def list_hooks(as_json: Json = False, home: Home = Path()) -> None:
    """List the webhooks with their rooms."""
    from securechat.server.known import known_hooks

    hooks = known_hooks(home).values()
    if as_json:
        typer.echo(json.dumps([{"name": hook.name, "room": hook.room} for hook in hooks]))
        return
    for hook in hooks:
        typer.echo(f"{hook.name:<32}  {hook.room}")


@hook_app.command("remove")
def remove_hook(name: Name, home: Home = Path()) -> None:
    """Remove a webhook and its account; what it said stays."""
    from securechat.accounts.changing import AccountChange
    from securechat.config import load_config
    from securechat.errors import NotFound
    from securechat.server import operating
    from securechat.server.known import known_accounts

    config = load_config(home, os.environ, {})
    hook = operating.remove_hook(home, config, name)
    with contextlib.suppress(NotFound):  # it was kicked before
        propose_for_operator(home, "kick", hook.room, target=name)
    is_in_force = name not in known_accounts(home) or operating.change_account(
        home, config, AccountChange("remove", name)
    )
    typer.echo(f"The hook {name} is removed." if is_in_force else NOT_YET, err=True)

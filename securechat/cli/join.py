"""`securechat join CODE`: come in by an invitation, and talk."""

import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli.app import app
from securechat.cli.options import Json
from securechat.cli.password_options import Generate, PasswordFile, PasswordStdin, new_password, on_terminal
from securechat.cli.reaching import ProfileName, ignored_by, reach, with_outbox
from securechat.errors import Refused, SecurechatError, UsageError

if TYPE_CHECKING:
    from securechat.cli.password_options import NewPassword


@app.command()
def join(
    code: Annotated[
        str | None,
        typer.Argument(metavar="[CODE]", help="The invitation, sc1.… (default: it is asked for).", show_default=False),
    ] = None,
    profile: ProfileName = None,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    generate: Generate = False,
    as_json: Json = False,
) -> None:
    """Come in by an invitation: one line, and you are talking.

    The server is proven by what the code says of it before anything else is sent. You choose your password, twice the
    same; an empty answer makes one, which is shown once. The server is saved as a profile with its CA and a session,
    so that `securechat connect` is enough from then on. On a terminal the client opens.
    """
    from securechat.client.codes import read_code
    from securechat.client.joining import join as join_by
    from securechat.client.profiles import Profiles

    profiles = Profiles.of_person()
    invited = read_code(code if code is not None else _ask_for_code())
    address = invited.address
    name = profile or profiles.name_for(address)
    profiles.path(name)
    chosen: list[NewPassword] = []

    def choose() -> str:
        typer.echo(f"{address} is the server of your invitation. You will be {address.username} there.", err=True)
        chosen.append(new_password(address.username, password_stdin, password_file, generate))
        return chosen[0].text

    try:
        welcome = join_by(profiles, name, invited, choose)
    except SecurechatError as error:
        if chosen and chosen[0].generated and not isinstance(error, Refused):  # it may be the account's by now
            typer.echo(f"The password that was made for {address.username}, shown only now: {chosen[0].text}", err=True)
        raise
    generated = chosen[0].text if chosen[0].generated else None
    opens = not as_json and on_terminal() and sys.stdout.isatty()
    if as_json:
        facts = {"profile": name, "username": welcome.username, "role": welcome.role, "server": str(address)}
        typer.echo(json.dumps(facts | ({"password": generated} if generated else {})))
    elif generated:
        typer.echo(f"The password of {welcome.username}, shown only now:", err=True)
        typer.echo(generated)
        if opens:
            typer.echo("Keep it where you keep passwords, then press Enter.", err=True)
            sys.stdin.readline()
    typer.echo(f"You are {welcome.username} at {address}. Profile {name} is in use. Next: securechat connect", err=True)
    if opens:
        from securechat.chat.names import LOBBY
        from securechat.client.conversation import converse

        client, warning = with_outbox(partial(reach, None, name))
        with client:
            converse(client, [LOBBY], ignored_by(client), warning=warning)


def _ask_for_code() -> str:
    if not on_terminal():
        raise UsageError("No invitation code was given.", hint="Type securechat join CODE.")
    typer.echo("Invitation code: ", nl=False, err=True)
    return sys.stdin.readline()

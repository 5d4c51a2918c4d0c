"""`securechat adduser` and `securechat user …`: the accounts of one home. It knows no hash and no file format."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import Home, Json, command_line
from securechat.cli.password_options import Generate, PasswordFile, PasswordStdin, new_password, on_terminal
from securechat.errors import UsageError

if TYPE_CHECKING:
    from securechat.accounts.credentials import Account, CredentialFile

Name = Annotated[str, typer.Argument(metavar="NAME", help="The username.", show_default=False)]

_SOON = "A running server acts on it within 2 seconds"

users = typer.Typer(
    name="user",
    cls=Group,
    help="List and change the accounts of a server.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def adduser(
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help="Give it the role admin (else member).")] = False,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    generate: Generate = False,
    exists_ok: Annotated[bool, typer.Option("--exists-ok", help="Be content with an account that is there.")] = False,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Make an account: somebody who may log in.

    Asks for its password on the terminal unless told where it is; an empty answer makes one.
    """
    from securechat.accounts.credentials import Account, taken
    from securechat.accounts.passwords import hash_password

    file = _file(home, name)
    known = file.load().get(name) if file.stamp() else None
    if known is not None:
        if not exists_ok:
            raise taken(name)
        if as_json:
            _print_json(_described(known) | {"created": False})
        _talk(f"There is an account {name} ({known.role}, {known.state}) already; it was left as it is.")
        return
    password = new_password(name, password_stdin, password_file, generate)
    account = Account(name, "admin" if admin else "member", "active", hash_password(password.text))
    file.add(account)
    _note(home, "user add", name)
    _show(account, password.text if password.generated else None, as_json, {"created": True})
    _talk(f"{name} has an account now ({account.role}). Next: {command_line('securechat serve', home)}")


@users.command("list")
def list_users(as_json: Json = False, home: Home = Path()) -> None:
    """List the accounts with their roles and states."""
    accounts = _file(home).load().values()
    if as_json:
        _print_json([_described(account) for account in accounts])
        return
    width = max((len(account.name) for account in accounts), default=0)
    typer.echo(f"{'NAME':{width}}  ROLE    STATE")
    for account in accounts:
        typer.echo(f"{account.name:{width}}  {account.role:6}  {account.state}")


@users.command()
def passwd(
    name: Name,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    generate: Generate = False,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Give an account another password; its sessions end."""
    from securechat.accounts.passwords import hash_password

    file = _file(home, name)
    account = file.get(name)
    password = new_password(name, password_stdin, password_file, generate)
    file.set_password(name, hash_password(password.text))
    _note(home, "user passwd", name)
    _end_tokens(home, name)
    _show(account, password.text if password.generated else None, as_json, {})
    _talk(f"{name} has another password now. {_SOON} and ends the sessions of {name}.")


@users.command()
def disable(name: Name, home: Home = Path()) -> None:
    """Keep an account out until it is enabled again; its sessions end."""
    _file(home, name).set_state(name, "disabled")
    _note(home, "user disable", name)
    _end_tokens(home, name)
    _talk(f"{name} is disabled now. {_SOON} and ends the sessions of {name}.")


@users.command()
def enable(name: Name, home: Home = Path()) -> None:
    """Let a disabled account in again."""
    _file(home, name).set_state(name, "active")
    _note(home, "user enable", name)
    _talk(f"{name} is active now. {_SOON}.")


@users.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: Home = Path(),
) -> None:
    """Remove an account for good; what it said stays.

    Its sessions end. Asks on the terminal unless told --yes.
    """
    file = _file(home, name)
    file.get(name)
    if not yes:
        _confirm(f"Remove the account {name} for good?")
    file.remove(name)
    _note(home, "user remove", name)
    _end_tokens(home, name)
    _talk(f"{name} has no account any more. {_SOON} and ends the sessions of {name}.")


@users.command()
def promote(name: Name, home: Home = Path()) -> None:
    """Make an account an admin."""
    _set_role(name, "admin", home)


@users.command()
def demote(name: Name, home: Home = Path()) -> None:
    """Make an admin a member again."""
    _set_role(name, "member", home)


app.add_typer(users)


def _set_role(name: str, role: Literal["admin", "member"], home: Path) -> None:
    _file(home, name).set_role(name, role)
    _note(home, f"user {role}", name)
    article = "an" if role == "admin" else "a"
    _talk(f"{name} is {article} {role} now. {_SOON}.")


def _file(home: Path, name: str | None = None) -> "CredentialFile":
    """The home's credential file; a name that is to be looked up in it is refused here if no account can have it."""
    from securechat.accounts.credentials import CredentialFile
    from securechat.chat.names import NAME_RULE, is_username

    if name is not None and not is_username(name):
        raise UsageError(f"No account can be called {name!a}.", hint=f"A username is {NAME_RULE}.")
    return CredentialFile(home / "credentials")


def _end_tokens(home: Path, name: str) -> None:
    """See that nobody comes back as this account with what it was given before."""
    from securechat.config import load_config
    from securechat.server.control import end_tokens

    end_tokens(home, load_config(home, os.environ, {}), name)


def _note(home: Path, act: str, name: str) -> None:
    from securechat.server.control import note

    note(home, act, name)


def _confirm(question: str) -> None:
    if not on_terminal():
        raise UsageError(
            "This cannot be undone, and there is no terminal to confirm it on.", hint="Confirm with --yes."
        )
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("Nothing was changed.")


def _show(account: "Account", generated: str | None, as_json: bool, more: dict[str, object]) -> None:
    """Print a generated password, the one time that it can be seen; with `as_json` in one object with the account."""
    if as_json:
        _print_json(_described(account) | more | ({"password": generated} if generated else {}))
    elif generated:
        _talk(f"The password of {account.name}, shown only now:")
        typer.echo(generated)


def _described(account: "Account") -> dict[str, object]:
    return {"name": account.name, "role": account.role, "state": account.state}


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value))


def _talk(sentence: str) -> None:
    typer.echo(sentence, err=True)

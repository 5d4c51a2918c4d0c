"""`securechat adduser` and `securechat user …`: the accounts of one home. It knows no hash and no file format."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import NOT_YET, Home, Json, command_line
from securechat.cli.password_options import Generate, PasswordFile, PasswordStdin, new_password, on_terminal
from securechat.errors import UsageError

if TYPE_CHECKING:
    from securechat.accounts.changing import Act
    from securechat.chat.accounts import Account, Role

Name = Annotated[str, typer.Argument(metavar="NAME", help="The username.", show_default=False)]

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
    from securechat.accounts.changing import taken
    from securechat.accounts.passwords import hash_password
    from securechat.chat.accounts import Account
    from securechat.server.known import find_account

    _check_name(name)
    known = find_account(home, name)
    if known is not None:
        if not exists_ok:
            raise taken(name)
        if as_json:
            _print_json(_described(known) | {"created": False})
        _talk(f"There is an account {name} ({known.role}, {known.state}) already; it was left as it is.")
        return
    password = new_password(name, password_stdin, password_file, generate)
    account = Account(name, "admin" if admin else "member", "active", hash_password(password.text))
    done = f"{name} has an account now ({account.role}). Next: {command_line('securechat serve', home)}"
    told = _change(home, "add", name, done, role=account.role, password=account.password)
    _show(account, password.text if password.generated else None, as_json, {"created": True})
    _talk(told)


@users.command("list")
def list_users(as_json: Json = False, home: Home = Path()) -> None:
    """List the accounts with their roles and states."""
    from securechat.server.known import known_accounts

    accounts = known_accounts(home).values()
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
    from securechat.server.known import existing_account

    _check_name(name)
    account = existing_account(home, name)
    password = new_password(name, password_stdin, password_file, generate)
    done = f"{name} has another password now, and its sessions are over."
    told = _change(home, "passwd", name, done, password=hash_password(password.text))
    _show(account, password.text if password.generated else None, as_json, {})
    _talk(told)


@users.command()
def disable(name: Name, home: Home = Path()) -> None:
    """Keep an account out until it is enabled again; its sessions end."""
    _talk(_change(home, "disable", name, f"{name} is disabled now, and its sessions are over."))


@users.command()
def enable(name: Name, home: Home = Path()) -> None:
    """Let a disabled account in again."""
    _talk(_change(home, "enable", name, f"{name} is active now."))


@users.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: Home = Path(),
) -> None:
    """Remove an account for good; what it said stays.

    Its sessions end. Asks on the terminal unless told --yes.
    """
    from securechat.server.known import existing_account

    _check_name(name)
    existing_account(home, name)  # before it is asked about
    if not yes:
        _confirm(f"Remove the account {name} for good?")
    _talk(_change(home, "remove", name, f"{name} has no account any more, and its sessions are over."))


@users.command()
def promote(name: Name, home: Home = Path()) -> None:
    """Make an account an admin."""
    _talk(_change(home, "admin", name, f"{name} is an admin now."))


@users.command()
def demote(name: Name, home: Home = Path()) -> None:
    """Make an admin a member again."""
    _talk(_change(home, "member", name, f"{name} is a member now."))


app.add_typer(users)


def _change(home: Path, act: "Act", name: str, done: str, role: "Role" = "member", password: str = "") -> str:
    """Have it done, by the server if one runs: then it is in force, and `done` is what to say of it; else what is.

    Raises SecurechatError.
    """
    from securechat.accounts.changing import AccountChange
    from securechat.config import load_config
    from securechat.server.known import existing_account
    from securechat.server.operating import change_account

    _check_name(name)
    if act != "add":
        existing_account(home, name)
    change = AccountChange(act, name, role=role, password=password)
    return done if change_account(home, load_config(home, os.environ, {}), change) else NOT_YET


def _check_name(name: str) -> None:
    """Raises UsageError for a name that no account can have."""
    from securechat.chat.names import NAME_RULE, is_username

    if not is_username(name):
        raise UsageError(f"No account can be called {name!a}.", hint=f"A username is {NAME_RULE}.")


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

"""`securechat config …`: write a securechat.toml, and look at the settings that a start would find."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import Home, Json

config_app = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Look at the settings.")
app.add_typer(config_app, name="config")


@config_app.command("init")
def init(home: Home = Path()) -> None:
    """Write a securechat.toml with every key and its default.

    It changes nothing until a line of it is changed.
    """
    from securechat.errors import AlreadyExists
    from securechat.files import sync_folder
    from securechat.settings import new_file

    path = home / "securechat.toml"
    home.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise AlreadyExists(f"There is a {path} already; it was left as it is.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(new_file())
    sync_folder(home)
    typer.echo(f"Wrote {path}. Every line of it is a default, and may be changed or left out.", err=True)


@config_app.command("show")
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Show every setting as a start would find it."""
    from securechat.settings import in_force, toml

    found = in_force(home, os.environ, {})
    if as_json:
        rows = {one.setting.name: {"value": one.value, "origin": one.origin} if origin else one.value for one in found}
        typer.echo(json.dumps(rows))
        return
    for one in found:
        line = f"{one.setting.name} = {toml(one.value) or '(not set)'}"
        typer.echo(f"{line:<44} {one.origin}" if origin else line)


@config_app.command("check")
def check(as_json: Json = False, home: Home = Path()) -> None:
    """Say whether the settings can be used.

    `securechat serve --check` looks at everything else that a start needs.
    """
    from securechat.config import load_config
    from securechat.errors import ConfigError

    try:
        load_config(home, os.environ, {})
    except ConfigError as error:
        if as_json:
            typer.echo(json.dumps({"ok": False, "problem": error.message, "fix": error.hint}))
            raise typer.Exit(error.exit_code) from None
        raise
    if as_json:
        typer.echo(json.dumps({"ok": True}))
    else:
        typer.echo("The settings can be used.", err=True)

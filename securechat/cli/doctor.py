"""`securechat doctor`: what is wrong with this server, and how to mend it."""

import json
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from securechat.cli.app import app
from securechat.cli.options import Home, Json

MARKS: Final = {"ok": "ok     ", "warning": "warning", "wrong": "WRONG  "}


@app.command()
def doctor(
    host: Annotated[
        str | None, typer.Option(help="The --host that serve is started with, if it is.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="The --port that serve is started with, if it is.", show_default=False, min=0, max=65535),
    ] = None,
    as_json: Json = False,
    home: Home = Path(),
) -> None:
    """Look for what is wrong with a server, and say how to mend it.

    Looks at files, accounts, certificate, store, clock, disk, port and versions, at NATS where this is a node of a
    cluster, and knocks at the server's door as a client does. A server may run meanwhile. Exits with 1 when something
    is wrong; a warning is not.
    """
    from securechat.doctor import examine

    found = examine(home, os.environ, {"host": host, "port": port})
    wrong = any(one.level == "wrong" for one in found)
    if as_json:
        rows = [{"level": one.level, "about": one.about, "message": one.message, "fix": one.fix} for one in found]
        typer.echo(json.dumps({"ok": not wrong, "findings": rows}))
    else:
        for one in found:
            typer.echo(f"{MARKS[one.level]} {one.about:<12} {one.message}")
            if one.fix:
                typer.echo(f"{'':21}-> {one.fix}")
    if wrong:
        raise typer.Exit(1)

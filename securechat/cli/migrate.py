"""`securechat migrate`: a server's home becomes a node of a cluster, or a node's home a server of its own. No logic."""

import os
from pathlib import Path
from typing import Annotated

import typer

from securechat.cli.app import app
from securechat.cli.options import Home, command_line
from securechat.errors import UsageError


@app.command()
def migrate(
    to_cluster: Annotated[
        bool, typer.Option("--to-cluster", help="Make this server the first node of the cluster in its settings.")
    ] = False,
    to_single: Annotated[bool, typer.Option("--to-single", help="Make this node a server of its own.")] = False,
    home: Home = Path(),
) -> None:
    """Take a chat from one server to a cluster, or back.

    Records, numbers, ids and chains stay what they are, and so do accounts and sessions: clients go on where they were.
    The server, or the node, must be stopped. What is cut off is finished by the same command.
    """
    from securechat.config import load_config
    from securechat.server import migrating
    from securechat.server.operating import note

    if to_cluster == to_single:
        raise UsageError("It is one of two ways.", hint="Give --to-cluster or --to-single.")
    config = load_config(home, os.environ, {})
    if to_cluster and not config.cluster.servers:
        raise UsageError("The settings name no cluster.", hint="[cluster] servers in securechat.toml does.")
    way = migrating.to_cluster if to_cluster else migrating.to_single
    done = way(home, config)
    note(home, "migrate", "to a cluster" if to_cluster else "to a server of its own")
    typer.echo(f"chains {done.digest}")
    if to_cluster:
        typer.echo(f"This is a node now, at entry {done.entry} of the stream {config.cluster.stream}.", err=True)
        typer.echo("The other nodes begin from it: start them with homes without chat.db.", err=True)
        typer.echo(f"Next: {command_line('securechat serve', home)}", err=True)
    else:
        typer.echo(f"This is a server of its own now, as the chat was at entry {done.entry} of the stream.", err=True)
        typer.echo("The other nodes must not go on as the same chat: stop them, and the clients come here.", err=True)
        typer.echo("Next: take [cluster] servers out of securechat.toml, then start it.", err=True)

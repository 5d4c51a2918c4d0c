"""`securechat cluster …`: how the nodes of one chat are, as the one on this home sees them. It decides nothing."""

import json
from pathlib import Path

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import Home, Json
from securechat.errors import ClusterError, UsageError

cluster_app = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Look at a cluster's nodes.")
app.add_typer(cluster_app, name="cluster")


@cluster_app.command("status")
def status(as_json: Json = False, home: Home = Path()) -> None:
    """Show the stream, and how far each node has followed it.

    Nodes that are equally far must have the same chains: where they have not, it fails.
    """
    import os

    from msgspec import to_builtins

    from securechat.config import load_config
    from securechat.server.ordering import engine_of

    config = load_config(home, os.environ, {})
    if not config.cluster.servers:
        raise UsageError("This server stands alone.", hint="[cluster] servers in securechat.toml makes it a node.")
    engine = engine_of(home, config.cluster)
    from securechat.journal.jetstream.survey import survey

    found = survey(engine)
    if as_json:
        typer.echo(json.dumps(to_builtins(found) | {"differ": found.differ}))
    else:
        copies = "".join(f", {name} {'has all' if all else 'is behind'}" for name, all in found.copies.items())
        typer.echo(f"stream {found.stream}: entries {found.first} to {found.last}, {found.bytes} bytes")
        typer.echo(f"leader {found.leader or 'none'}{copies}")
        for node in found.nodes:
            where = "level" if node.is_level else f"{found.last - node.entry} behind"
            typer.echo(f"node {node.node}: entry {node.entry}, {where}, chains {node.digest[:16]}")
    if found.differ:
        raise ClusterError("Nodes that are equally far have different chains.", hint="Run on each: securechat verify")

"""`securechat cluster …`: how the nodes of one chat are, as the one on this home sees them. It decides nothing."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import Home, Json
from securechat.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from securechat.config import Cluster

cluster_app = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Look at a cluster's nodes.")
app.add_typer(cluster_app, name="cluster")


@cluster_app.command("status")
def status(as_json: Json = False, home: Home = Path()) -> None:
    """Show the stream, and how far each node has followed it.

    Nodes that are equally far must have the same chains: where they have not, it fails.
    """
    from msgspec import to_builtins

    from securechat.server.ordering import engine_of

    engine = engine_of(home, _settings(home))
    from securechat.journal.jetstream.survey import survey

    found = survey(engine)
    if as_json:
        typer.echo(json.dumps(to_builtins(found) | {"differ": found.differ}))
    else:
        copies = "".join(f", {name} {'has all' if all else 'is behind'}" for name, all in found.copies.items())
        typer.echo(f"stream {found.stream}: entries {found.first} to {found.last}, {found.bytes} bytes")
        typer.echo(f"leader {found.leader or 'none'}{copies}")
        for node in found.nodes:
            behind = found.last - node.entry
            where = "level" if node.is_level else f"{behind} behind" if behind > 0 else "not following the stream now"
            typer.echo(f"node {node.node}: entry {node.entry}, {where}, chains {node.digest[:16]}")
    if found.differ:
        raise ClusterError("Nodes that are equally far have different chains.", hint="Run: securechat cluster verify")


@cluster_app.command("verify")
def verify(as_json: Json = False, home: Home = Path()) -> None:
    """Prove that all nodes and the newest snapshot have one history.

    Checks every record of this home's store, as `securechat verify` does, then compares the chains of all nodes that
    answer with it, room by room, and takes the newest snapshot and checks that, too. A server may run meanwhile. Exits
    with 1 where something is not as it should be, and names the room and the first record that is not the same.
    """
    from securechat.cli.proof import described, print_rooms
    from securechat.server.cluster_proof import prove

    proof = prove(home, _settings(home))
    if as_json:
        found = {"nodes": proof.nodes, "snapshot": proof.snapshot, "flaws": proof.flaws}
        typer.echo(json.dumps({"ok": not proof.flaws, "entry": proof.entry, "store": described(proof.store), **found}))
    else:
        print_rooms(proof.store)
        for node, flaw in proof.nodes.items():
            typer.echo(f"node {node}: {flaw or 'the same chains'}")
        if proof.snapshot:
            typer.echo(f"snapshot {proof.snapshot}: {proof.snapshot_flaw or 'whole, and the same chains'}")
        elif not proof.store.flaw:
            typer.echo("There is no snapshot yet.", err=True)
    if proof.flaws:
        raise ClusterError(" ".join(proof.flaws), hint="Stop the node that is wrong, and keep its files.")
    if not as_json:
        typer.echo(f"All is one history; records checked here: {proof.store.records}.", err=True)


def _settings(home: Path) -> "Cluster":
    import os

    from securechat.config import load_config

    cluster = load_config(home, os.environ, {}).cluster
    if not cluster.servers:
        raise UsageError("This server stands alone.", hint="[cluster] servers in securechat.toml makes it a node.")
    return cluster

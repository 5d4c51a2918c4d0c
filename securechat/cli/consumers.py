"""`securechat consumer`: the programs of an account whose cursors the server keeps (`tail --consumer`)."""

import json
from typing import Annotated

import typer

from securechat.cli.app import Group, app
from securechat.cli.options import Json
from securechat.cli.way_in import WayIn, comes_in
from securechat.errors import NotFound

consumer_app = typer.Typer(
    name="consumer", cls=Group, no_args_is_help=True, rich_markup_mode=None, help="See and forget cursors of consumers."
)


@consumer_app.command("list")
@comes_in
def list_consumers(
    as_json: Json = False,
    *,
    way: WayIn,
) -> None:
    """List the consumers of your account.

    For each its rooms, and the number of the record up to which it has read there.
    """
    import msgspec

    from securechat.client import text
    from securechat.protocols.frames import ConsumerList, Consumers

    with way.connect() as client:
        cursors = client.request(Consumers(), ConsumerList).cursors
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(cursors)))
        return
    for one in cursors:
        typer.echo(f"{text.name(one.consumer):<24} {text.name(one.room):<24} {one.seq:>9}")


@consumer_app.command("forget")
@comes_in
def forget_consumer(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The consumer, as consumer list shows it.")],
    *,
    way: WayIn,
) -> None:
    """Have the server forget a consumer of your account.

    Its cursors end in all rooms; under this name, tail begins anew.
    """
    from securechat.protocols.frames import ConsumerList, Consumers, Forget

    with way.connect() as client:
        cursors = client.request(Consumers(), ConsumerList).cursors
        if not any(one.consumer == name for one in cursors):
            raise NotFound(f"Your account has no consumer {name!a}.", hint="See: securechat consumer list")
        client.request(Forget(consumer=name), ConsumerList)
    typer.echo(f"{name} is forgotten.", err=True)


app.add_typer(consumer_app)

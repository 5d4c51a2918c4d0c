"""`securechat tail`: hear rooms from a script, from where it stopped the last time."""

import os
import sys
from contextlib import closing
from typing import Annotated

import typer

from securechat.cli import completion
from securechat.cli.app import app
from securechat.cli.way_in import WayIn, comes_in
from securechat.errors import UsageError


@app.command("tail")
@comes_in
def tail_rooms(
    rooms: Annotated[
        list[str],
        typer.Argument(
            metavar="ROOM...", autocompletion=completion.rooms, help="The rooms; @NAME for the talk with a person."
        ),
    ],
    after: Annotated[
        int | None, typer.Option("--after", metavar="N", min=0, help="Begin behind record N of each room.")
    ] = None,
    last: Annotated[int | None, typer.Option("--last", metavar="N", min=0, help="Begin with the newest N.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each record as its JSON frame, one a line.")] = False,
    until_idle: Annotated[
        float | None,
        typer.Option("--until-idle", metavar="SECONDS", min=0.0, help="End when nothing came for so long."),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="End after N lines.")] = None,
    consumer: Annotated[
        str,
        typer.Option("--consumer", metavar="NAME", help="Go on where this consumer stopped; the server remembers it."),
    ] = "",
    retry_seconds: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="Try so long to come back after a lost connection.")
    ] = 60.0,
    *,
    way: WayIn,
) -> None:
    """Print what is said in rooms, from where you say, and go on.

    One line of UTF-8 for each message, `[ROOM] SENDER: TEXT`, or with --json one JSON frame for each record of any
    kind; `replay` marks what was there before. Without --after and --last it begins with what is new. Public rooms are
    joined first. With --consumer it goes on where a run under this name stopped, and --after and --last count for the
    first run alone.
    """
    from securechat.client import text
    from securechat.client.tailing import Tail, beginnings
    from securechat.client.transcript import as_json as written
    from securechat.protocols.frames import Message

    if after is not None and last is not None:
        raise UsageError("--after and --last both say where to begin.", hint="Give one of them.")
    with way.connect(outage=retry_seconds) as client:
        places = beginnings(client, list(dict.fromkeys(rooms)), after=after, last=last, consumer=consumer)
        width = os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
        lines = 0
        with closing(Tail(client, places, consumer=consumer)) as tail:
            for record in tail.records(until_idle):
                if as_json:
                    lines += _put("".join(written([record])))
                elif isinstance(record, Message) and not record.erased:
                    lines += _put(text.heard(record, width) + "\n")
                tail.took(record)
                if lines == count:
                    break
            tail.remember()


def _put(line: str) -> int:
    sys.stdout.buffer.write(line.encode())
    sys.stdout.buffer.flush()
    return 1

"""`securechat send`: say one thing and know that it is stored; `securechat outbox`: what could not be sent yet."""

import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli import completion
from securechat.cli.app import Group, app
from securechat.cli.options import Json
from securechat.cli.reaching import outbox_folder
from securechat.cli.way_in import WayIn, comes_in
from securechat.errors import NotFound, Queued, Refused, Unreachable, UsageError

if TYPE_CHECKING:
    from securechat.client.outbox import Line, Outbox
    from securechat.client.pending import Receipt

outbox_app = typer.Typer(
    name="outbox", cls=Group, no_args_is_help=True, rich_markup_mode=None, help="See and send what waits to be sent."
)


@app.command()
@comes_in
def send(
    room: Annotated[
        str,
        typer.Argument(metavar="ROOM", autocompletion=completion.rooms, help="The room; @NAME to talk to a person."),
    ],
    text: Annotated[
        str, typer.Argument(metavar="[TEXT|-]", help="What to say; - (the default) reads stdin to its end.")
    ] = "-",
    id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="A mark of your own: said again with the same one, it is stored once."),
    ] = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="Keep it in the outbox where the server cannot be reached; exits with 75.")
    ] = False,
    as_json: Json = False,
    *,
    way: WayIn,
) -> None:
    """Say one thing in a room, and exit with 0 only when it is stored.

    Prints the room and the record's number. Joins the room first where that is needed. It exits with 4 when the server
    refuses it, with 3 when the server cannot be reached; with --queue with 75 then, and it waits in the outbox for the
    next send --queue or for outbox flush.
    """
    from securechat.chat.names import ID_RULE, is_id
    from securechat.client.ids import new_id
    from securechat.client.outbox import Line
    from securechat.client.sending import say, say_or_keep

    if id is not None and not is_id(id):
        raise UsageError(f"{id!a} cannot be an id.", hint=f"An id has {ID_RULE}.")
    line = Line(id or new_id(), room, _read_text() if text == "-" else text)
    if queue:
        receipt = say_or_keep(lambda: way.connect(outbox_folder()), lambda: _outbox(way.account), line)
    else:
        with way.connect() as client:
            try:
                receipt = say(client, line)
            except Unreachable as failure:
                hint = f"To send it again with --id {line.id} is safe."
                raise Unreachable(failure.message, hint=hint) from None
    typer.echo(json.dumps(_facts(receipt)) if as_json else _stored(receipt))


@outbox_app.command("list")
def list_lines(as_json: Json = False) -> None:
    """List what waits to be sent, and what was refused; asks no server."""
    from securechat.client import text
    from securechat.client.outbox import accounts_in

    rows = []
    for account in accounts_in(outbox_folder()):
        with closing(_outbox(account)) as outbox:
            rows += [(account, line) for line in outbox.lines()]
    if as_json:
        facts = [{"account": account, **_kept(line)} for account, line in rows]
        typer.echo(json.dumps(facts))
        return
    for account, line in rows:
        state = f"refused ({text.line(line.reason)})" if line.code else "waits"
        typer.echo(f"{text.line(account)}  {line.id}  {text.name(line.room)}  {state}  {text.line(line.text)}")


@outbox_app.command("flush")
@comes_in
def flush_lines(
    as_json: Json = False,
    *,
    way: WayIn,
) -> None:
    """Send what waits in the outbox, oldest first.

    Also what was refused before is tried again. It exits with 4 when something is refused, with 75 when the server
    cannot be reached: then everything that is not stored waits on.
    """
    from securechat.client import text
    from securechat.client.sending import flush

    with closing(_outbox(way.account)) as outbox:
        if not outbox.lines():
            typer.echo("Nothing waits.", err=True)
            return
    refused = 0
    try:
        with way.connect(outbox_folder()) as client:
            for line, outcome in flush(client):
                if isinstance(outcome, Refused):
                    refused += 1
                    typer.echo(f"securechat: {line.id} was not stored: {text.line(str(outcome))}", err=True)
                else:
                    typer.echo(json.dumps(_facts(outcome)) if as_json else _stored(outcome))
    except Unreachable as unreachable:
        raise Queued(unreachable.message, hint="What is not stored waits in the outbox.") from None
    if refused:
        raise Refused(f"{refused} of them stay in the outbox.", code="", hint="See: securechat outbox list")


@outbox_app.command("drop")
def drop_line(
    id: Annotated[str, typer.Argument(metavar="ID", help="The id of the line, as outbox list shows it.")],
) -> None:
    """Take a line out of the outbox: it is not sent."""
    from securechat.client.outbox import accounts_in

    dropped = False
    for account in accounts_in(outbox_folder()):
        with closing(_outbox(account)) as outbox:
            dropped |= outbox.drop(id)
    if not dropped:
        raise NotFound(f"Nothing waits under the id {id!a}.", hint="See: securechat outbox list")
    typer.echo("It is dropped.", err=True)


app.add_typer(outbox_app)


def _outbox(account: str) -> "Outbox":
    from securechat.client.outbox import Outbox

    return Outbox(outbox_folder(), account)


def _read_text() -> str:
    """What stdin holds, without the line ends at its end. Raises UsageError for more than any server takes."""
    from securechat.limits import Limits

    most = Limits().line_bytes
    data = sys.stdin.buffer.read(most + 1)
    if len(data) > most:
        raise UsageError(f"Stdin holds more than {most} bytes.", hint="Send it in parts.")
    try:
        return data.decode("utf-8").replace("\r\n", "\n").rstrip("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"Byte {error.start + 1} of the text is not UTF-8.") from None


def _stored(receipt: "Receipt") -> str:
    from securechat.client import text

    return f"{text.name(receipt.room)} {receipt.seq}"


def _facts(receipt: "Receipt") -> dict[str, object]:
    return {
        "room": receipt.room,
        "seq": receipt.seq,
        "time": receipt.time,
        "id": receipt.id,
        "duplicate": receipt.duplicate,
    }


def _kept(line: "Line") -> dict[str, object]:
    return {"id": line.id, "room": line.room, "text": line.text, "code": line.code, "reason": line.reason}

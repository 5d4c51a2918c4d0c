"""`securechat history`, `search` and `export`: what was said in a room, for eyes, programs and files."""

import datetime
import os
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from securechat.cli import completion
from securechat.cli.app import app
from securechat.cli.way_in import WayIn, comes_in
from securechat.errors import UsageError

if TYPE_CHECKING:
    from securechat.protocols.frames import AnyRecord

Room = Annotated[
    str,
    typer.Argument(metavar="ROOM", autocompletion=completion.rooms, help="The room; @NAME for the talk with a person."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Begin with this day or time (ISO 8601; local unless it says else)."),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="End with this day (its end included), or before this time."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON frame a line.")]
AsText = Annotated[
    bool, typer.Option("--text", help="Print one line of text a record (the default but on a terminal).")
]
AsHtml = Annotated[bool, typer.Option("--html", help="Print one page of HTML that needs nothing else.")]


class Form(StrEnum):
    """How records are written down."""

    seen = "seen"
    text = "text"
    json = "json"
    html = "html"


@app.command("history")
@comes_in
def show_history(
    room: Room,
    last: Annotated[
        int, typer.Option("--last", metavar="N", min=1, help="The newest N records of those asked for.")
    ] = 50,
    begin: From = None,
    to: To = None,
    as_json: AsJson = False,
    as_text: AsText = False,
    as_html: AsHtml = False,
    *,
    way: WayIn,
) -> None:
    """Show the newest records of a room, oldest first."""
    from securechat.client.past import records, span

    form = _form(as_json, as_text, as_html, or_else=_for_eyes())
    since, until = _time(begin, is_end=False), _time(to, is_end=True)
    with way.connect() as client:
        part = span(client, room, since=since, until=until, newest=last)
        _put(_written(records(client, room, part), form, room))


@app.command("export")
@comes_in
def export_room(
    room: Room,
    begin: From = None,
    to: To = None,
    as_json: AsJson = False,
    as_text: AsText = False,
    as_html: AsHtml = False,
    *,
    way: WayIn,
) -> None:
    """Write down all of a room that is yours to read, on stdout.

    Where stdout is a file and stderr a terminal, it shows there how far it is.
    """
    from securechat.client.past import records, span

    form = _form(as_json, as_text, as_html, or_else=_for_eyes())
    since, until = _time(begin, is_end=False), _time(to, is_end=True)
    with way.connect() as client:
        part = span(client, room, since=since, until=until)
        hidden = sys.stdout.isatty() or not sys.stderr.isatty()
        with typer.progressbar(length=part.last - part.after, label="Exporting", file=sys.stderr, hidden=hidden) as bar:

            def counted() -> Iterator["AnyRecord"]:
                at = part.after
                for record in records(client, room, part):
                    bar.update(record.seq - at)
                    at = record.seq
                    yield record

            _put(_written(counted(), form, room))


@app.command("search")
@comes_in
def search_room(
    room: Annotated[
        str,
        typer.Argument(
            metavar="ROOM", autocompletion=completion.rooms, help="The room; @NAME for a person; - for all your rooms."
        ),
    ],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for.")],
    sender: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Only what this account said.")] = None,
    last: Annotated[int, typer.Option("--last", metavar="N", min=1, max=100, help="The newest N finds.")] = 20,
    begin: From = None,
    to: To = None,
    as_json: AsJson = False,
    as_text: AsText = False,
    as_html: AsHtml = False,
    *,
    way: WayIn,
) -> None:
    """Find what was said; the newest finds, oldest first."""
    form = _form(as_json, as_text, as_html, or_else=_for_eyes())
    since, until = _time(begin, is_end=False), _time(to, is_end=True)
    place = None if room == "-" else room
    with way.connect() as client:
        found = client.search(text, room=place, sender=sender, after=since, before=until, limit=last)
    _put(_written([hit.record for hit in reversed(found.hits)], form, room, names_room=place is None))
    if found.more:
        typer.echo("There are older ones: ask with --last or --to.", err=True)


def _form(as_json: bool, as_text: bool, as_html: bool, *, or_else: Form) -> Form:
    asked = [form for form, is_so in ((Form.json, as_json), (Form.text, as_text), (Form.html, as_html)) if is_so]
    if len(asked) > 1:
        raise UsageError("It is written down in one form.", hint="Give one of --json, --text and --html.")
    return asked[0] if asked else or_else


def _for_eyes() -> Form:
    return Form.seen if sys.stdout.isatty() else Form.text


def _written(records: Iterable["AnyRecord"], form: Form, room: str, *, names_room: bool = False) -> Iterator[str]:
    from securechat.client.transcript import as_html, as_json, as_seen, as_text

    match form:
        case Form.json:
            return as_json(records)
        case Form.html:
            return as_html(records, "securechat" if names_room else room)
        case Form.text:
            return as_text(records, room=names_room)
        case Form.seen:
            return as_seen(records, os.get_terminal_size(sys.stdout.fileno()).columns, room=names_room)


def _put(pieces: Iterable[str]) -> None:
    for piece in pieces:
        sys.stdout.buffer.write(piece.encode())
    sys.stdout.buffer.flush()


def _time(typed: str | None, *, is_end: bool) -> int | None:
    """A day or a time as milliseconds since 1970 UTC; of a day its beginning, or the beginning of the next one."""
    if typed is None:
        return None
    try:
        day = datetime.date.fromisoformat(typed)
        moment = datetime.datetime.combine(day, datetime.time())
        if is_end:
            moment += datetime.timedelta(days=1)
    except ValueError:
        try:
            moment = datetime.datetime.fromisoformat(typed)
        except ValueError:
            hint = "Type 2026-11-25, 2026-11-25T14:30 or 2026-11-25T14:30Z."
            raise UsageError(f"{typed!a} is no day and no time.", hint=hint) from None
    try:
        return max(0, int(moment.timestamp() * 1000))
    except (OverflowError, OSError, ValueError):
        raise UsageError(f"{typed!a} is too far away.") from None

"""Records of one room written down: as JSON, as lines of text, or as a page of HTML that is safe to open.

Pieces come as they are made, so that a long room needs no memory. It knows nothing of where they go.
"""

import base64
import datetime
import hashlib
import html
import json
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from securechat.client import text
from securechat.protocols.frames import AnyRecord, Message

STYLE: Final = (
    "body{font:16px/1.45 system-ui,sans-serif;max-width:50em;margin:2em auto;padding:0 1em;color:#1c1c1c;"
    "background:#fff}h2{font-size:1em;border-bottom:1px solid #bbb;margin:1.5em 0 .5em}p{margin:.3em 0;"
    "overflow-wrap:anywhere}p.deed{color:#555}a{color:#777;text-decoration:none}p:target{background:#ffedb8}"
)

POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'"
)
"""The page's own rule for the browser: nothing is fetched, run or sent, and its one style is known by its hash."""


def as_json(records: Iterable[AnyRecord]) -> Iterator[str]:
    """One frame a line, in ASCII, so that no terminal that it may end on is driven by it."""
    for record in records:
        yield json.dumps(msgspec.to_builtins(record), separators=(",", ":")) + "\n"


def as_text(records: Iterable[AnyRecord], *, room: bool = False) -> Iterator[str]:
    """One line a record, with its time in UTC, its room (if `room`) and its number: the same everywhere, for programs
    and files."""
    for record in records:
        place = f" [{text.name(record.room)}]" if room else ""
        head = f"{_moment(record.time)}{place} #{record.seq} "
        if isinstance(record, Message) and not record.erased:
            who, said = text.spoken(record.sender, record.text)
            yield f"{head}{who}{text.line(said)}\n"
        else:
            yield f"{text.SYSTEM}{head}{text.name(record.sender)} {text.line(text.deed(record))}\n"


def as_seen(records: Iterable[AnyRecord], width: int, *, room: bool = False) -> Iterator[str]:
    """As a person reads it on a terminal of this width, with a line for each day, and its room (if `room`)."""
    today = ""
    for record in records:
        day = text.day(record.time)
        if day != today:
            yield text.system(day, width) + "\n"
            today = day
        yield text.record(record, room=room, number=True, width=width) + "\n"


def as_html(records: Iterable[AnyRecord], room: str) -> Iterator[str]:
    """One page that needs nothing else: no script, nothing to fetch, and every word of others as harmless text."""
    title = _safe(room)
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
    today = ""
    for record in records:
        day = text.day(record.time)
        if day != today:
            yield f"<h2>{day}</h2>\n"
            today = day
        yield _paragraph(record)
    yield "</body>\n</html>\n"


def _paragraph(record: AnyRecord) -> str:
    number = f'<a href="#r{record.seq}">#{record.seq}</a>'
    when = f'<time datetime="{_moment(record.time)}">{text.clock(record.time)}</time>'
    who = f"<b>{_safe(record.sender)}</b>"
    if not isinstance(record, Message) or record.erased:
        return f'<p class="deed" id="r{record.seq}">{number} {when} {who} {_safe(text.deed(record))}</p>\n'
    answers = f' <a href="#r{record.reply_to}">answers #{record.reply_to}</a>' if record.reply_to else ""
    if record.text.startswith(text.ME):
        done = _safe(record.text.removeprefix(text.ME))
        return f'<p id="r{record.seq}">{number} {when} * {who}{answers} {done}</p>\n'
    return f'<p id="r{record.seq}">{number} {when} {who}{answers}: {_safe(record.text)}</p>\n'


def _safe(words: str) -> str:
    return "<br>\n".join(html.escape(text.line(part)) for part in words.split("\n"))


def _moment(milliseconds: int) -> str:
    """A record's time in UTC, as RFC 3339 has it; question marks for one that no calendar holds."""
    try:
        moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return "????-??-??T??:??:??Z"
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

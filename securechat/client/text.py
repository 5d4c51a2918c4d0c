"""What others wrote, made safe and unforgeable for a terminal: every field from the wire or disk passes through here.

Three promises. No character leaves that could drive a terminal, hide, or turn the reading direction: it is shown as
an escape, `\\u{202E}`. A name shows nothing that a name may not hold. And where the terminal's width is given, no
text of others ever begins a line: a message begins with its time and sender, each further line of it with a gutter,
and what the client itself has to say with `-- `.
It writes nowhere, and knows nothing of terminals but their width.
"""

import datetime
import re
import unicodedata
from collections.abc import Iterator
from typing import Final, assert_never

from securechat.protocols.frames import (
    AnyRecord,
    ArchiveRecord,
    CreateRecord,
    DeleteRecord,
    EditRecord,
    InviteRecord,
    JoinRecord,
    KickRecord,
    LeaveRecord,
    Message,
    TopicRecord,
)

SYSTEM: Final = "-- "
"""How a line of the client's own begins. A message begins with a digit or `?`, its further lines with a space."""

GUTTER: Final = "      | "
"""How each further line of a message begins; as wide as the time and a space, and the bar."""

ME: Final = "/me "
"""How a message begins that says what its sender does: it is shown as `* alice waves`."""

MARKS: Final = 3
"""Combining marks shown on one character, the rest is left out: real writing needs no more, and stacks of hundreds
cover the lines of others."""

# Controls, formats (bidi controls, joiners and other zero-width ones, tags), surrogates, private use, unassigned (a
# later Unicode may give them any of these powers) and noncharacters, line and paragraph separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Letters, marks and symbols that show nothing: the rest of Unicode's Default_Ignorable_Code_Point, and the blank ones.
_INVISIBLE: Final = (
    frozenset(
        map(
            ord,
            "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\U00016fe4\U0001d159",
        )
    )
    | frozenset(range(0xFE00, 0xFE10))
    | frozenset(range(0xE0100, 0xE01F0))
)

_PRESENTATION: Final = "\ufe0e\ufe0f"
"""The selectors for a symbol as text and as emoji."""

_NARROWEST: Final = 20
"""Columns that are taken for granted: the beginning of a message and two characters of its text fit."""

_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._@-]")


def escape(char: str) -> str:
    """The visible form of one character: its code point, `\\u{1B}`."""
    return f"\\u{{{ord(char):X}}}"


def line(text: str) -> str:
    """One line that is safe to show: after NFC, what is unsafe is an escape (newlines too), any other space a space.

    Zero-width joiners are escapes like every zero-width character, so joined emoji fall apart into their parts, and
    Persian and Indic joining hints show. A presentation selector right behind a symbol is left out (the symbol says
    the same without it, and its width becomes certain).
    """
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks, previous = MARKS, ""  # a mark needs a character to stand on
    for char in unicodedata.normalize("NFC", "".join(_few_marks(text))):
        category = unicodedata.category(char)
        if char in _PRESENTATION and previous.startswith("S"):
            previous = ""
            continue
        if category.startswith("M") and ord(char) not in _INVISIBLE and marks < MARKS:
            marks += 1
            shown.append(char)
            continue
        if category == "Zs" or char == "\t":
            shown.append(" ")
            marks = 0
        elif category in _UNSAFE or ord(char) in _INVISIBLE:
            shown.append(escape(char))
            marks = MARKS
        elif not category.startswith("M"):
            shown.append(char)
            marks = 0
        elif not shown or shown[-1].startswith("\\u{"):
            shown.append(escape(char))
        previous = category
    return "".join(shown)


def json_line(line: str) -> str:
    """A line of JSON that says the same and is safe to show: what `line` would not show as it is, JSON escapes."""
    if line.isascii() and line.isprintable():
        return line
    shown: list[str] = []
    marks = 0
    for char in line:
        category = unicodedata.category(char)
        marks = marks + 1 if category.startswith("M") else 0
        if marks > MARKS or category in _UNSAFE or ord(char) in _INVISIBLE:
            units = char.encode("utf-16-be", "surrogatepass")
            shown.extend(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
        else:
            shown.append(char)
    return "".join(shown)


def name(value: str) -> str:
    """The name of an account or room; what no name may hold (a space, a colon, a look-alike letter) is an escape."""
    return _NOT_IN_NAMES.sub(lambda found: escape(found[0]), value)


def system(sentence: str, width: int | None = None, *, said: str = "") -> str:
    """A line of the client's own; what is not the client's in `sentence` went through `line` or `name` before.

    `said` is a text that it speaks of, which follows it."""
    return _block(f"{SYSTEM}{sentence}{' ' if said else ''}", said, width)


def record(event: AnyRecord, *, room: bool, number: bool, width: int | None) -> str:
    """One record as a person reads it: time, room (if `room`), sender, number (if `number`), text.

    `width` is the terminal's in columns; None is for what is no terminal, and keeps the record on one line.
    """
    place = f" [{name(event.room)}]" if room else ""
    if isinstance(event, Message) and not event.erased:
        head, body = spoken(event.sender, event.text, f" #{event.seq}" if number else "")
        return _block(f"{clock(event.time)}{place} {head}", body, width)
    return _block(f"{SYSTEM}{clock(event.time)}{place} {name(event.sender)} ", deed(event), width)


def deed(event: AnyRecord) -> str:
    """What the sender of a record did, in words that follow the name; a text in it is as it was written."""
    match event:
        case Message():
            return "said something that was deleted." if event.erased else "said something."
        case CreateRecord():
            return "made the room."
        case JoinRecord():
            return "joined."
        case LeaveRecord():
            return "left."
        case TopicRecord():
            return f"set the topic: {event.text}" if event.text else "took the topic away."
        case InviteRecord():
            return f"invited {name(event.target)}."
        case KickRecord():
            return f"removed {name(event.target)}."
        case EditRecord():
            return f"changed #{event.about}: {event.text}"
        case DeleteRecord():
            return f"deleted #{event.about}."
        case ArchiveRecord():
            return "closed the room."
        case _:
            assert_never(event)


def spoken(sender: str, said: str, number: str = "") -> tuple[str, str]:
    """A message in two: who says it, which is safe (`alice: `, `* alice `), and what, which is as it was written."""
    if said.startswith(ME):
        return f"* {name(sender)}{number} ", said.removeprefix(ME)
    return f"{name(sender)}{number}: ", said


def heard(message: Message, width: int | None = None) -> str:
    """One message for a script, `[room] sender: text`, the same at all times and in all time zones; on one line,
    unless `width` is given: then somebody looks at it on a terminal."""
    head, body = spoken(message.sender, message.text)
    return _block(f"[{name(message.room)}] {head}", body, width)


def clock(milliseconds: int) -> str:
    """A record's time as hours and minutes here; `??:??` for a time that no calendar holds."""
    try:
        return datetime.datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%H:%M")
    except (OverflowError, ValueError, OSError):
        return "??:??"


def day(milliseconds: int) -> str:
    """A record's day here, as year, month and day; question marks for a time that no calendar holds."""
    try:
        return f"{datetime.datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d}"
    except (OverflowError, ValueError, OSError):
        return "????-??-??"


def shorten(text: str, width: int) -> str:
    """The beginning of a safe line in at most `width` columns, with `...` where something is left out."""
    if columns(text) <= width:
        return text
    kept, used = [], 0
    for cluster in _clusters(text):
        used += columns(cluster)
        if used > width - 3:
            break
        kept.append(cluster)
    return "".join(kept) + "..."


def columns(text: str) -> int:
    """How many columns a terminal may need for this safe text: never fewer than it does, for a line that the terminal
    breaks by itself would begin with the text of others."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _block(head: str, body: str, width: int | None) -> str:
    if width is None:
        return head + line(body)
    width = max(width, _NARROWEST)
    lines = [line(part) for part in body.split("\n")]
    # One column stays free: some terminals break the line when the last one is filled.
    lines[0] = head + lines[0]
    rows = [row for number, part in enumerate(lines) for row in _rows(part, width - 1, first=number == 0)]
    return "\n".join(rows)


def _rows(text: str, width: int, *, first: bool) -> Iterator[str]:
    narrow = width - len(GUTTER)
    for row in wrap(text, narrow, width if first else narrow):
        yield row if first else GUTTER + row
        first = False


def wrap(text: str, width: int, first: int | None = None) -> Iterator[str]:
    """Cut a safe line into rows of at most `width` columns (`first`: the first row), at a space where there is one."""
    width = max(width, 2)
    room = first or width
    if columns(text) <= room:
        yield text
        return
    row: list[str] = []
    used = word = 0  # `word` is where the last word of the row begins
    for cluster in _clusters(text):
        cells = columns(cluster)
        if row and used + cells > room:
            if cluster == " ":  # the break stands for it
                yield "".join(row).rstrip(" ")
                row, used, word, room = [], 0, 0, width
                continue
            carried = columns("".join(row[word:]))
            if not word or carried + cells > width:
                word, carried = len(row), 0
            yield "".join(row[:word]).rstrip(" ")
            row, used, word, room = row[word:], carried, 0, width
        row.append(cluster)
        used += cells
        if cluster == " ":
            word = len(row)
    if row or not text:
        yield "".join(row)


def _clusters(text: str) -> Iterator[str]:
    """Characters with the marks that stand on them."""
    cluster = ""
    for char in text:
        if cluster and not unicodedata.category(char).startswith("M"):
            yield cluster
            cluster = ""
        cluster += char
    if cluster:
        yield cluster


def _cells(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    # Regional indicators are two columns wide where a pair of them is drawn as a flag.
    wide = unicodedata.east_asian_width(char) in "WF" or "\U0001f1e6" <= char <= "\U0001f1ff"
    return 2 if wide else 1


def _few_marks(text: str) -> Iterator[str]:
    """The text with at most 3 times MARKS marks in a row: NFC sorts marks, and takes quadratic time for it [measured:
    0.12 s for one message of 8,000 marks]. What is composed later leaves room for all that can be shown."""
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char).startswith("M") else 0
        if marks <= 3 * MARKS:
            yield char

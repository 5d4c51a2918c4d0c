"""What stands around the talk: the rooms, the title, what was found, the line of state, and what is before the input.
Each is made for a width, and says less on a narrower screen. Pure.
"""

from typing import Final

from securechat.client import text
from securechat.client.screen.model import Doing, Model
from securechat.client.screen.rendering import DIM, STRONG, Row
from securechat.client.screen.rooms import Room
from securechat.client.screen.viewport import Viewport

LIST_COLUMNS: Final = 20
"""For the list of rooms, where there is one."""

NARROW: Final = 70
"""Columns below which there is no list of rooms: the line of state names those with something unread."""

BAR: Final = "reverse"
WARNING: Final = "reverse fg:#d70000 bold"


def list_columns(width: int) -> int:
    """How many columns of the screen the list of rooms takes."""
    return 0 if width < NARROW else LIST_COLUMNS if width < 120 else LIST_COLUMNS + 8


def waiting(room: Room) -> str:
    """What waits in a room: how many unread messages, and `!` with how many of them are meant for the person."""
    if not room.unread:
        return ""
    count = "999+" if room.unread > 999 else f"{room.unread}{'' if room.is_exact else '?'}"
    if room.mentions and not room.is_direct:
        return f"{count} {room.mentions}!"
    return f"{count}!" if room.is_direct else count


def room_list(model: Model, width: int, height: int) -> list[Row]:
    """The rooms, with the key that leads to each and what waits there; the one in sight is always among them."""
    rows: list[Row] = []
    here = 0
    was_direct = False
    for number, room in enumerate(model.listed, 1):
        if room.is_direct and not was_direct and rows:
            rows.append([])
        was_direct = room.is_direct
        if room is model.current:
            here = len(rows)
        rows.append(_listed(model, room, number, width))
    first = max(0, min(here - height // 2, len(rows) - height))
    return rows[first : first + height]


def beside(listed: Row, width: int, row: Row) -> Row:
    """A line of the list of rooms, an edge, and a line of the talk."""
    space = " " * (width - sum(text.columns(piece) for _, piece in listed))
    return [*listed, ("", space), (DIM, "│"), ("", " "), *row]


def _listed(model: Model, room: Room, number: int, width: int) -> Row:
    key = f"{number} " if number < 10 else "  "
    is_there = room.is_direct and model.online.get(room.name[1:], False)
    count = waiting(room)
    name = text.shorten(text.name(room.name) + (" •" if is_there else ""), width - len(key) - len(count) - 3)
    space = " " * max(1, width - 2 - len(key) - text.columns(name) - len(count))
    if room is model.current:
        return [("", " "), (BAR, f"{key}{name}{space}{count}")]
    style = f"{STRONG} fg:#d75f00" if room.mentions else STRONG if room.unread else ""
    return [("", " "), (DIM, key), (style, f"{name}{space}{count}")]


def title(model: Model, width: int) -> Row:
    """The room in sight, what it is about, and how many are in it."""
    room = model.current
    if not room.name:
        return _bar([(f"{STRONG} {BAR}", " no room ")], [(BAR, " /join ROOM or /create ROOM ")], width)
    name = f" {text.name(room.name)}{' (private)' if room.private else ''} "
    many = f" {len(room.members)} members " if len(room.members) > 1 and width >= NARROW else ""
    topic = f"│ {text.shorten(text.line(room.topic), max(4, width - len(name) - len(many) - 3))}" if room.topic else ""
    return _bar([(f"{STRONG} {BAR}", name), (BAR, topic)], [(BAR, many)], width)


def state(model: Model, viewport: Viewport, width: int) -> Row:
    """Where one is connected and how that was proven, what is on its way, what is unread elsewhere."""
    room = model.current
    pieces: Row = []
    if below := viewport.below(room):
        pieces.append((f"{BAR} {STRONG}", f" -MORE {below}- "))
    waits = sum(line.state == "pending" for line in model.own)
    if not model.is_connected:
        kept = f": {waits} {'line waits' if waits == 1 else 'lines wait'}, sent when it is back" if waits else ""
        pieces.append((WARNING, f" not connected{kept} "))
    elif waits:
        pieces.append((BAR, f" sending {waits} "))
    failed = sum(line.state == "failed" for line in model.own)
    if failed:
        pieces.append((WARNING, f" {failed} failed: Ctrl-t "))
    if model.is_away:
        pieces.append((BAR, " away "))
    if not list_columns(width) and (elsewhere := _elsewhere(model)):
        pieces.append((BAR, f" [{elsewhere}] "))
    if room.is_loading:
        pieces.append((BAR, " loading "))
    lag = f" {model.lag * 1000:.0f} ms " if model.lag is not None and model.is_connected else ""
    standing = f" {text.name(model.me)} on {model.server} "
    is_in = " connected " if model.is_connected else ""
    right = [(BAR, is_in), (BAR, lag), (BAR, standing), (BAR, f" 🔒 {model.proof} ")]
    left = sum(text.columns(piece) for _, piece in pieces)
    # What matters least goes first where there is no room.
    for least in (1, 0, 2, 3):
        if left + sum(text.columns(piece) for _, piece in right) <= width:
            break
        right[least] = (BAR, "" if least != 3 else " 🔒 ")
    if left + sum(text.columns(piece) for _, piece in right) > width:
        right = []
    return _bar(pieces, right, width)


def _elsewhere(model: Model) -> str:
    busy = [(number, room) for number, room in enumerate(model.listed, 1) if room.unread and room is not model.current]
    return " ".join(f"{number}:{text.name(room.name)}({waiting(room)})" for number, room in busy[:4])


def before_input(model: Model) -> str:
    """What stands before the input, and says what it means."""
    match model.doing:
        case Doing.SEARCHING:
            return "search: "
        case Doing.ANSWERING:
            return model.question
        case Doing.CHOOSING:
            return "Up, Down, Enter to go there, Esc to go back "
        case Doing.PASTING:
            return f"Paste {len(model.pasted.splitlines())} lines as one message? y/n "
        case _:
            return f"{text.name(model.current.name) or 'no room'}> "


def found(model: Model, width: int, height: int) -> list[Row]:
    """What a search has found, the chosen one always among what is shown."""
    rows: list[Row] = [[(STRONG, text.shorten(f'{len(model.hits)} found for "{text.line(model.looked_for)}"', width))]]
    rows.append([])
    space = max(1, height - 2)
    first = max(0, min(model.hit - space // 2, len(model.hits) - space))
    for number, hit in enumerate(model.hits[first : first + space], first):
        record = hit.record
        said = getattr(record, "text", "").removeprefix(text.ME)
        when = f"{text.day(record.time)} {text.clock(record.time)}"
        told = f"{when} {text.name(hit.room)} {text.name(record.sender)} │ {text.line(said)}"
        style = BAR if number == model.hit else ""
        rows.append([(style, f"{'>' if number == model.hit else ' '} {text.shorten(told, width - 3)}")])
    return [*rows, *[[] for _ in range(height - len(rows))]]


def _bar(left: Row, right: Row, width: int) -> Row:
    """A line in the colours of a bar, from one side of the screen to the other."""
    left = _cut(left, width)
    used = sum(text.columns(piece) for _, piece in left)
    right = right if used + sum(text.columns(piece) for _, piece in right) <= width else []
    space = width - used - sum(text.columns(piece) for _, piece in right)
    return [*left, (BAR, " " * space), *right]


def _cut(row: Row, width: int) -> Row:
    cut: Row = []
    for style, piece in row:
        shown = piece if text.columns(piece) <= width else text.shorten(piece, max(0, width)) if width > 3 else ""
        cut.append((style, shown))
        width -= text.columns(shown)
    return cut

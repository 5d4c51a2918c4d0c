"""From one item of a room to its lines on the screen: pieces of text, each with a style. What others wrote passes
through `client.text` here, and stands behind a bar that no text of theirs can be in front of. Pure; what was rendered
is kept, so that a redraw costs the same with few items and with many.
"""

import datetime
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from securechat.client import text
from securechat.client.screen.colours import colour_of
from securechat.client.screen.rooms import OwnLine, Room
from securechat.client.screen.scrollback import Item, Notice
from securechat.protocols.frames import (
    AnyRecord,
    DeleteRecord,
    EditRecord,
    Message,
)

Piece: TypeAlias = tuple[str, str]
"""A style in prompt_toolkit's words, and a text that is safe."""
Row: TypeAlias = list[Piece]

NAME_COLUMNS: Final = 10
"""For the name before a message; a longer one is shown whole, and moves its line."""

ROOMY: Final = 60
"""Columns from which names stand in a column of their own."""

KEPT: Final = 4_096
"""Rendered items that are kept: some hundred screens."""

DIM: Final = "fg:#808080"
STRONG: Final = "bold"
BAR: Final = "│"


class Renderer:
    """Renders the items of one account's rooms."""

    def __init__(self, me: str, *, clock: Callable[[int], str] = text.clock) -> None:
        self._me = me
        self._clock = clock
        self._kept: dict[tuple[object, ...], list[Row]] = {}
        self.rendered = 0
        """Items that were rendered anew, and not taken from those kept."""

    def rows(self, room: Room, item: Item, width: int) -> list[Row]:
        """The lines of an item, without what stands before it."""
        if isinstance(item, Notice):
            key: tuple[object, ...] = (item.sentence, width)
        else:
            amendment = room.scrollback.amendment(item.seq)
            key = (item.room, item.seq, width, amendment.seq if amendment else 0)
        kept = self._kept.get(key)
        if kept is None:
            self.rendered += 1
            if len(self._kept) >= KEPT:
                self._kept.clear()
            kept = self._kept[key] = self._render(room, item, width)
        return kept

    def own(self, line: OwnLine, width: int) -> list[Row]:
        """The lines of an own message that is no record yet."""
        match line.state:
            case "pending":
                mark = "…"
            case "stored":
                mark = f"#{line.seq}"
            case _:
                mark = "failed"
        rows = self._spoken("·····", self._me, line.text, mark, width, DIM)
        if line.state == "failed":
            told = f"{text.SYSTEM}Not stored: {line.reason} Ctrl-t sends it again, Ctrl-x drops it."
            rows += [[("fg:#d75f5f", row)] for row in _hung(told, width)]
        return rows

    def before(self, room: Room, index: int, width: int) -> list[Row]:
        """What stands before an item: a new day, the line `new since you were here`, what a message answers."""
        scrollback = room.scrollback
        item = scrollback.items[index]
        if isinstance(item, Notice):
            return []
        rows = []
        previous = next(
            (one for one in reversed(scrollback.items[max(0, index - 50) : index]) if not isinstance(one, Notice)), None
        )
        if previous is None or _day(previous.time) != _day(item.time):
            rows.append(_rule(_day(item.time), width, DIM))
        if room.new_after is not None and item.seq > room.new_after:
            seen = previous.seq if previous is not None else 0
            if seen <= room.new_after and (seen or not scrollback.has_older):
                rows.append(_rule("new since you were here", width, "fg:#d75f00 bold"))
        if isinstance(item, Message) and item.reply_to and not item.erased:
            rows.append(self._quote(room, item, width))
        return rows

    # --- one item ---------------------------------------------------------------------------------------------

    def _render(self, room: Room, item: Item, width: int) -> list[Row]:
        if isinstance(item, Notice):
            return [[(STRONG, row)] for row in _hung(f"{text.SYSTEM}{item.sentence}", width)]
        if not isinstance(item, Message):
            return self._deed(item, width)
        amendment = room.scrollback.amendment(item.seq)
        when, mark = self._clock(item.time), f"#{item.seq}"
        if item.erased or isinstance(amendment, DeleteRecord):
            by = f" by {text.name(amendment.sender)}" if amendment and amendment.sender != item.sender else ""
            return self._spoken(when, item.sender, f"deleted{by}", mark, width, f"{DIM} italic")
        said = item.text
        if isinstance(amendment, EditRecord) and not amendment.erased:
            said, mark = amendment.text, f"edited {mark}"
        style = STRONG if room.concerns(item, self._me) and not room.is_direct else ""
        return self._spoken(when, item.sender, said, mark, width, style)

    def _spoken(self, when: str, sender: str, said: str, mark: str, width: int, style: str) -> list[Row]:
        """A message: its time, its author, a bar, the text, and its number at the right or, on a narrow screen, before
        the author."""
        name = text.name(sender)
        is_deed = said.startswith(text.ME)
        if is_deed:
            said = f"{name} {said.removeprefix(text.ME)}"
        shown = "*" if is_deed else name
        face = f"fg:{colour_of(sender)}{' bold' if sender == self._me else ''}"
        if "bold" in style and sender != self._me:
            face += " reverse"
        roomy = width >= ROOMY
        lead = f"{when} " if roomy else f"{when} {mark} "
        pad = " " * max(0, NAME_COLUMNS - len(shown)) if roomy else ""
        gutter = " " * (len(when) + 1 + (NAME_COLUMNS + 1 if roomy else 0)) + f"{BAR} "
        head = len(lead) + len(pad) + len(shown) + 3
        right = len(mark) + 1 if roomy else 0
        narrow = max(2, width - len(gutter) - right)
        rows: list[Row] = []
        for number, part in enumerate(said.split("\n")):
            first = max(2, width - head - right) if number == 0 else narrow
            for row in text.wrap(text.line(part), narrow, first):
                if rows:
                    rows.append([(DIM, gutter), (style, row)])
                else:
                    rows.append([(DIM, lead), ("", pad), (face, shown), (DIM, f" {BAR} "), (style, row)])
        if roomy:
            used = sum(text.columns(piece) for _, piece in rows[0])
            rows[0] += [("", " " * max(1, width - used - len(mark))), (DIM, mark)]
        return rows

    def _deed(self, record: AnyRecord, width: int) -> list[Row]:
        name = text.name(record.sender)
        deed = text.line(text.deed(record))
        roomy = width >= ROOMY
        lead = f"{self._clock(record.time)} " + (" " * (NAME_COLUMNS - 2) if roomy else "") + "-- "
        gutter = " " * (len(lead) - 2 if not roomy else len(lead)) + f"{BAR} "
        rows = list(text.wrap(f"{name} {deed}", width - len(gutter), width - len(lead) - 2))
        return [[(DIM, (f"{lead}{BAR} " if not number else gutter) + row)] for number, row in enumerate(rows)]

    def _quote(self, room: Room, message: Message, width: int) -> Row:
        answered = room.scrollback.message(message.reply_to) or room.quotes.get(message.reply_to)
        roomy = width >= ROOMY
        lead = " " * (6 + (NAME_COLUMNS + 1 if roomy else 0)) + f"{BAR} ╭ "
        if answered is None:
            return [(DIM, f"{lead}#{message.reply_to}")]
        amendment = room.scrollback.amendment(answered.seq)
        said = answered.text
        if isinstance(amendment, EditRecord) and not amendment.erased:
            said = amendment.text
        if answered.erased or isinstance(amendment, DeleteRecord):
            said = "deleted"
        head, body = text.spoken(answered.sender, said)
        quoted = f"{head}{text.line(body)}"
        return [(DIM, lead + text.shorten(quoted, max(8, width - len(lead) - 1)))]


def _hung(told: str, width: int) -> list[str]:
    """The lines of a sentence of the client's own, the further ones behind three spaces."""
    rows = list(text.wrap(told, max(8, width - 3), width))
    return [row if not number else f"   {row}" for number, row in enumerate(rows)]


def _rule(label: str, width: int, style: str) -> Row:
    side = max(2, (width - len(label) - 2) // 2)
    left = "─" * side
    right = "─" * max(0, width - side - len(label) - 2)
    return [(style, f"{left} {label} {right}"[:width])]


@lru_cache(maxsize=4096)
def _day_of(hour: int) -> str:
    try:
        return f"{datetime.datetime.fromtimestamp(hour * 900).astimezone():%A %-d %B %Y}"
    except (OverflowError, ValueError, OSError):
        return "a day that no calendar holds"


def _day(milliseconds: int) -> str:
    """A record's day here. No zone changes its offset within a quarter of an hour, nor has one that is no multiple."""
    return _day_of(milliseconds // 900_000)

"""Which lines of a room are in sight, and how scrolling moves them. Only the items in sight are looked at, so it costs
the same in a short room and in a long one. Pure.
"""

from collections.abc import Iterator, Set
from typing import Final

from securechat.client.screen.rendering import Renderer, Row
from securechat.client.screen.rooms import Anchor, Room
from securechat.protocols.frames import Message

BEHIND: Final = 2**60
"""Own lines that are no records yet stand behind all records: with these numbers, and those from it on."""


class Viewport:
    """The part of a room that fits on the screen."""

    def __init__(self, renderer: Renderer, hidden: Set[str]) -> None:
        """`hidden` are people of whose messages nothing is shown; it changes under way."""
        self._renderer = renderer
        self._hidden = hidden
        self.width = 80
        self.height = 20

    def rows(self, room: Room) -> list[Row]:
        """The lines in sight, from the top; exactly as many as the height."""
        index, row = self._bottom(room)
        shown: list[Row] = []
        for at in range(index, self._floor(room) - 1, -1):
            rows = self._rows_at(room, at)
            shown += reversed(rows[: row + 1] if at == index else rows)
            if len(shown) >= self.height:
                break
        shown = shown[: self.height]
        return [[] for _ in range(self.height - len(shown))] + shown[::-1]

    def scroll(self, room: Room, rows: int) -> None:
        """Move by so many lines, up where it is more than 0; at the newest line it follows what comes."""
        room.is_stuck = False
        if rows > 0:
            room.floor = None
        place = self._moved(room, self._bottom(room), rows)
        top = self._moved(room, (0 if self._count(room) else -1, -1), -self.height)
        self._stop_at(room, max(place, top))

    def show(self, room: Room, seq: int) -> None:
        """Have this record in the middle of what is in sight."""
        room.floor = None
        index = min(room.scrollback.index((seq, 0)), max(0, self._count(room) - 1))
        top = self._moved(room, (0 if self._count(room) else -1, -1), -self.height)
        place = self._moved(room, self._last(room, index), -(self.height // 2))
        self._stop_at(room, max(place, top))

    def wants_older(self, room: Room) -> bool:
        """Whether there is less than a screen above what is in sight, and the room may have more."""
        return room.scrollback.has_older and self._is_short(room, self._bottom(room)[0], -1)

    def wants_newer(self, room: Room) -> bool:
        """Whether there is less than a screen below, and the room has more."""
        return not room.scrollback.reaches_head and self._is_short(room, self._bottom(room)[0], 1)

    def below(self, room: Room) -> int:
        """How many items are below what is in sight."""
        return self._count(room) - 1 - self._bottom(room)[0] if room.anchor else 0

    def answered(self, room: Room) -> list[int]:
        """Messages that are answered by one in sight, and that are not loaded."""
        index, _ = self._bottom(room)
        near = room.scrollback.items[max(0, index - self.height) : index + 1]
        answers = [item.reply_to for item in near if isinstance(item, Message) and item.reply_to]
        return [seq for seq in answers if seq not in room.quotes and room.scrollback.message(seq) is None]

    # --- places: the index of an item, and one of its lines -----------------------------------------------------

    def _count(self, room: Room) -> int:
        return len(room.scrollback.items) + (len(room.own) if room.scrollback.reaches_head else 0)

    def _rows_at(self, room: Room, at: int) -> list[Row]:
        items = room.scrollback.items
        if at >= len(items):
            return self._renderer.own(room.own[at - len(items)], self.width)
        item = items[at]
        if isinstance(item, Message) and item.sender in self._hidden:
            return []
        return self._renderer.before(room, at, self.width) + self._renderer.rows(room, item, self.width)

    def _floor(self, room: Room) -> int:
        return 0 if room.floor is None else room.scrollback.index((room.floor[0], room.floor[1] + 1))

    def _last(self, room: Room, at: int) -> tuple[int, int]:
        return (at, len(self._rows_at(room, at)) - 1) if 0 <= at < self._count(room) else (-1, -1)

    def _bottom(self, room: Room) -> tuple[int, int]:
        if room.anchor is None:
            return self._last(room, self._count(room) - 1)
        at = room.scrollback.index(room.anchor.key)
        if room.anchor.key[0] >= BEHIND:
            at += room.anchor.key[0] - BEHIND
        if at >= self._count(room):
            return self._last(room, self._count(room) - 1)
        return at, min(room.anchor.row, len(self._rows_at(room, at)) - 1)

    def _stop_at(self, room: Room, place: tuple[int, int]) -> None:
        if place >= self._last(room, self._count(room) - 1) and room.scrollback.reaches_head:
            room.anchor = None
            return
        at, row = place
        items = len(room.scrollback.items)
        key = room.scrollback.keys[at] if at < items else (BEHIND + at - items, 0)
        room.anchor = Anchor(key, row)

    def _moved(self, room: Room, place: tuple[int, int], rows: int) -> tuple[int, int]:
        at, row = place
        if at < 0:
            return place
        while rows > row:
            if not at:
                return 0, 0
            rows -= row + 1
            at -= 1
            row = len(self._rows_at(room, at)) - 1
        if rows >= 0:
            return at, row - rows
        left = -rows
        while left > (spare := len(self._rows_at(room, at)) - 1 - row):
            if at + 1 >= self._count(room):
                return self._last(room, at)
            left -= spare + 1
            at, row = at + 1, 0
        return at, row + left

    def _is_short(self, room: Room, at: int, step: int) -> bool:
        rows = 0
        for index in self._from(room, at, step):
            rows += len(self._rows_at(room, index))
            if rows >= 2 * self.height:
                return False
        return True

    def _from(self, room: Room, at: int, step: int) -> Iterator[int]:
        return iter(range(at, -1, -1) if step < 0 else range(max(0, at), self._count(room)))

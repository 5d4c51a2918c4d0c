"""What the Tab key makes of the word before the cursor: one name, room or command after the other, in the line itself.
Pure.
"""

from collections.abc import Iterable
from typing import Final

from securechat.client.commands import COMMANDS
from securechat.client.screen.model import Model

ROOM_ARGUMENTS: Final = ("ROOM", "[ROOM]", "TARGET TEXT")
"""How commands name a first argument that is a room, or a person as `@name`."""


class Completion:
    """The words that can stand in the place of one word, through which Tab goes around."""

    def __init__(self) -> None:
        self._before = ""
        self._after = ""
        self._words: list[str] = []
        self._at = 0
        self._shown = ""

    def next(self, model: Model, text: str, cursor: int, step: int) -> tuple[str, int]:
        """The input with the next word in it, and the cursor behind that; the same input if there is none."""
        if not self._words or text != self._shown:
            self._begin(model, text, cursor)
            self._at = 0 if step > 0 else len(self._words) - 1
        elif self._words:
            self._at = (self._at + step) % len(self._words)
        if not self._words:
            return text, cursor
        before = self._before + self._words[self._at]
        self._shown = before + self._after
        return self._shown, len(before)

    def _begin(self, model: Model, text: str, cursor: int) -> None:
        start = max(text.rfind(" ", 0, cursor), text.rfind("\n", 0, cursor)) + 1
        self._before, word, self._after = text[:start], text[start:cursor], text[cursor:]
        self._words = list(dict.fromkeys(_words(model, self._before, word)))


def _words(model: Model, before: str, word: str) -> Iterable[str]:
    if not before and word.startswith("/"):
        return [f"{one} " for one in (f"/{name}" for name in COMMANDS) if one.startswith(word)]
    command = (
        COMMANDS.get(before.strip().removeprefix("/")) if before.startswith("/") and before.count(" ") == 1 else None
    )
    if command is not None and command.arguments in ROOM_ARGUMENTS:
        rooms = [room.name for room in model.listed]
        people = [f"@{name}" for name in _people(model)]
        return [f"{one} " for one in (*rooms, *people) if one.startswith(word)]
    if word.startswith("#"):
        return [f"#{room.name} " for room in model.listed if not room.is_direct and room.name.startswith(word[1:])]
    names = [name for name in _people(model) if name.startswith(word.removeprefix("@").lower())]
    if command is not None:
        return [f"{name} " for name in names]
    if not before and not word.startswith("@"):
        return [f"{name}: " for name in names]
    return [f"@{name} " for name in names]


def _people(model: Model) -> list[str]:
    room = model.current
    known = [*room.speakers, *room.members, *(one.name[1:] for one in model.listed if one.is_direct)]
    return [name for name in dict.fromkeys(known) if name != model.me]

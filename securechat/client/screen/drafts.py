"""What a person has typed in one room and not said yet, and what was entered there before. Pure."""

from typing import Final

ENTERED: Final = 200
"""Entered lines that a room keeps for the Up key; past it, the oldest is forgotten."""


class Draft:
    """One room's input: its text, and the lines entered before, through which one goes with `older` and `newer`."""

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        self._entered: list[str] = []
        self._at = 0  # the entered line that is shown; behind the last one, what was being typed
        self._typed = ""

    def keep(self, text: str, cursor: int) -> None:
        """Remember what is being typed."""
        self.text, self.cursor = text, cursor

    def enter(self, text: str) -> None:
        """The text was entered: the input is empty again."""
        if text.strip() and text not in self._entered[-1:]:
            self._entered = [*self._entered, text][-ENTERED:]
        self.keep("", 0)
        self._at, self._typed = len(self._entered), ""

    def older(self, text: str) -> str | None:
        """The line entered before the one that is shown; None if there is none. `text` is what the input holds."""
        if not self._at:
            return None
        if self._at == len(self._entered):
            self._typed = text
        self._at -= 1
        return self._entered[self._at]

    def newer(self) -> str | None:
        """The line entered after the one that is shown, at last what was being typed; None if there is none."""
        if self._at == len(self._entered):
            return None
        self._at += 1
        return self._typed if self._at == len(self._entered) else self._entered[self._at]

"""The whole screen as one container: rows of pieces, and the input below them. It decides nothing about what they say.

Windows of prompt_toolkit put each character into place anew for every redraw, and share out the space among each other
a column at a time: with them a redraw of 120 columns and 40 rows took 10 ms of CPU, of which 6 were for this. Here the
cells of a row are made once, and what is on the screen already is put there by copying dictionaries.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from prompt_toolkit.layout import Container, Dimension, Window
from prompt_toolkit.layout.mouse_handlers import MouseHandlers
from prompt_toolkit.layout.screen import Char, Screen, WritePosition

from securechat.client.screen.rendering import Piece, Row

KEPT_ROWS: Final = 1_024
"""Rows whose cells are kept: some screens of them, about 5 KB each."""

KEPT_CHARS: Final = 8_192
"""Characters in their styles that are kept."""

_BEHIND_WIDE: Final = Char("", "")
"""Stands in the second cell of a character that takes two."""


class Canvas(Container):
    """Rows from the top, made for a width and a height, and the input in what they leave."""

    def __init__(self, rows: Callable[[int, int], list[Row]], entered: Window, most: int) -> None:
        """`most` are the rows that the input takes at most."""
        self._rows = rows
        self._entered = entered
        self._most = most

    def reset(self) -> None:
        """Begin anew."""
        self._entered.reset()

    def preferred_width(self, max_available_width: int) -> Dimension:
        """It takes what there is."""
        return Dimension()

    def preferred_height(self, width: int, max_available_height: int) -> Dimension:
        """It takes what there is."""
        return Dimension()

    def write_to_screen(
        self,
        screen: Screen,
        mouse_handlers: MouseHandlers,
        write_position: WritePosition,
        parent_style: str,
        erase_bg: bool,
        z_index: int | None,
    ) -> None:
        """Put the rows and the input on the screen."""
        width, height = write_position.width, write_position.height
        wanted = self._entered.preferred_height(width, height).preferred
        below = max(1, min(self._most, wanted, height))
        for y, row in enumerate(self._rows(width, height - below)[: height - below]):
            screen.data_buffer[y].update(_cells(tuple(row), width))
        place = WritePosition(0, height - below, width, below)
        self._entered.write_to_screen(screen, mouse_handlers, place, parent_style, erase_bg, z_index)

    def get_children(self) -> list[Container]:
        """The input."""
        return [self._entered]


_char = lru_cache(KEPT_CHARS)(Char)


@lru_cache(KEPT_ROWS)
def _cells(row: tuple[Piece, ...], width: int) -> dict[int, Char]:
    """The cells of a row, by their columns; what does not fit is left out. Whoever gets them changes nothing."""
    cells: dict[int, Char] = {}
    x = 0
    for style, piece in row:
        for letter in piece:
            char = _char(letter, style)
            if not char.width:  # a mark, which stands on the character before it
                at = next((before for before in (x - 1, x - 2) if before in cells and cells[before].char), None)
                if at is not None:
                    cells[at] = Char(cells[at].char + letter, cells[at].style)
                continue
            if x + char.width > width:
                return cells
            cells[x] = char
            if char.width > 1:
                cells[x + 1] = _BEHIND_WIDE
            x += char.width
    return cells

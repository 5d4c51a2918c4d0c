"""Rows and the input on one screen: each character in its cell, with what stands on it and what it takes."""

from prompt_toolkit.layout import FormattedTextControl, Window
from prompt_toolkit.layout.mouse_handlers import MouseHandlers
from prompt_toolkit.layout.screen import Screen, WritePosition

from securechat.client.screen.canvas import Canvas
from securechat.client.screen.rendering import Row


def drawn(*rows: Row, width: int = 10, height: int = 4) -> tuple[list[str], Screen]:
    """The rows of a screen, and the screen."""
    screen = Screen()
    canvas = Canvas(lambda _, room: list(rows)[:room], Window(FormattedTextControl("in")), 2)
    canvas.write_to_screen(screen, MouseHandlers(), WritePosition(0, 0, width, height), "", False, None)
    return ["".join(screen.data_buffer[y][x].char for x in range(width)) for y in range(height)], screen


def test_each_character_has_its_cells_and_what_does_not_fit_is_left_out() -> None:
    row = [("bold", "ab"), ("", "漢e\u0301z")]
    shown, screen = drawn(row, [("", "x" * 20)], [("", "123456789漢")])
    assert shown == ["ab漢e\u0301z   " + " ", "x" * 10, "123456789 ", "in        "]
    cells = screen.data_buffer[0]
    assert [(cells[x].char, cells[x].style) for x in (1, 2, 3, 4)] == [
        ("b", "bold"),
        ("漢", ""),
        ("", ""),
        ("e\u0301", ""),
    ]
    assert screen.height == 4


def test_a_mark_stands_on_a_wide_character_too_and_on_nothing_not_at_all() -> None:
    shown, _ = drawn([("", "\u0301漢\u0301x")])
    assert shown[0] == "漢\u0301x" + " " * 7


def test_rows_past_the_space_are_not_shown_and_the_input_is_always_there() -> None:
    shown, screen = drawn(*[[("", str(number))] for number in range(9)], height=3)
    assert [line.strip() for line in shown] == ["0", "1", "in"]
    (place,) = screen.visible_windows_to_write_positions.values()
    assert (place.ypos, place.height) == (2, 1)

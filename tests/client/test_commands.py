"""What is typed is a line to say, a command, or an error: a mistyped command is never said."""

import pytest

from securechat.client.commands import COMMANDS, Do, Say, read, read_count, read_number
from securechat.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("hello /join", Say("hello /join")),
        (" /join x", Say(" /join x")),
        ("//etc/passwd", Say("/etc/passwd")),
        ("two\nlines", Say("two\nlines")),
        ("", None),
        (" \t", None),
        ("/join ops", Do("join", ("ops",))),
        ("/join  ops ", Do("join", ("ops",))),
        ("/leave", Do("leave", ())),
        ("/leave ops", Do("leave", ("ops",))),
        ("/rooms", Do("rooms", ())),
        ("/who", Do("who", ())),
        ("/msg @bob hello there", Do("msg", ("@bob", "hello there"))),
        ("/msg @bob two\nlines", Do("msg", ("@bob", "two\nlines"))),
        ("/history 5", Do("history", ("5",))),
        ("/quit", Do("quit", ())),
        ("/help", Do("help", ())),
        ("/me waves", Say("/me waves")),
        ("/create ops private", Do("create", ("ops", "private"))),
        ("/reply #3 yes, two\nlines", Do("reply", ("#3", "yes, two\nlines"))),
        ("/edit 3  spaced  out ", Do("edit", ("3", "spaced  out"))),
        ("/topic tea at four", Do("topic", ("tea at four",))),
    ],
)
def test_a_typed_line_means(typed: str, meant: Say | Do | None) -> None:
    assert read(typed) == meant


@pytest.mark.parametrize("typed", ["/jion ops", "/", "/ join ops", "/JOIN ops", "/usr/bin/env is a file"])
def test_an_unknown_command_is_an_error_and_not_said(typed: str) -> None:
    with pytest.raises(UsageError, match="There is no command"):
        read(typed)


@pytest.mark.parametrize(
    "typed",
    ["/join", "/join a b", "/leave a b", "/rooms x", "/who a b", "/msg", "/msg @bob", "/history 1 2", "/quit x"],
)
def test_a_wrong_number_of_arguments_is_answered_with_the_usage(typed: str) -> None:
    name = typed[1:].split(" ", maxsplit=1)[0]
    with pytest.raises(UsageError) as told:
        read(typed)
    assert COMMANDS[name].usage in str(told.value)


def test_every_command_of_the_table_can_be_typed_as_its_usage_says() -> None:
    for command in COMMANDS.values():
        typed = command.usage.replace("[", "").replace("]", "")
        meant = read(typed, screen=True)
        assert meant == Say(typed) if command.name == "me" else isinstance(meant, Do) and meant.name == command.name
        if command.screen:
            with pytest.raises(UsageError, match="There is no command"):
                read(typed)


def test_a_number_is_typed_as_it_is_shown() -> None:
    assert read_number("#43") == read_number("43") == 43
    for typed in ("", "#", "0", "x", "-1", "4 3", "٣", "9" * 16):
        with pytest.raises(UsageError, match="number of a message"):
            read_number(typed)


def test_a_count_is_a_number_that_a_page_can_hold() -> None:
    assert read_count((), 20) == 20
    assert read_count(("500",), 20) == 500
    for typed in ("0", "501", "-1", "x", "²", "99999999"):
        with pytest.raises(UsageError, match="1 to 500"):
            read_count((typed,), 20)

"""The log: one line an event, in UTC, with nothing in it that could drive a terminal or forge a line."""

import io
import json
import logging
import re
import threading

import pytest

from securechat.limits import LOG_LINES
from securechat.server.logs import Log

HOSTILE = "a\nforged line \u001b[2J\u202e"


def _logged(style: str, *acts: object) -> str:
    stream = io.StringIO()
    with Log(style, stream):
        logger = logging.getLogger("securechat.test")
        for act in acts:
            assert callable(act)
            act(logger)
    return stream.getvalue()


def test_text_is_one_line_an_event_with_hostile_characters_escaped() -> None:
    text = _logged("text", lambda log: log.info("hello %s", HOSTILE, extra={"peer": HOSTILE, "account": "alice"}))
    assert text.count("\n") == 1
    assert "info hello a\\nforged line \\x1b[2J\\u202e peer=a\\nforged" in text
    assert text.endswith("account=alice\n")
    assert text[10] == "T" and text[23] == "Z"


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_is_told_without_the_characters_of_whoever_caused_it(style: str) -> None:
    def fail(log: logging.Logger) -> None:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("it failed")

    text = _logged(style, fail)
    assert "ValueError" in text
    assert "\u001b" not in text
    assert "\u202e" not in text
    if style == "json":
        assert "Traceback" in json.loads(text)["traceback"]


def test_what_is_no_terminal_gets_json() -> None:
    row = json.loads(_logged("auto", lambda log: log.warning("x", extra={"session": "s1"})))
    assert (row["level"], row["message"], row["session"]) == ("warning", "x", "s1")


def test_a_bug_in_one_line_is_not_the_end_of_the_log() -> None:
    text = _logged(
        "text",
        lambda log: log.info("%d lines", "some"),
        lambda log: log.info("%d lines", 2, extra={"account": "alice"}),
    )
    assert re.fullmatch(
        r"a line of securechat\.test could not be written: TypeError\n\S+ info 2 lines account=alice\n", text
    )


def test_lines_that_come_at_once_are_written_at_once() -> None:
    class Counting(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    stream = Counting()
    with Log("text", stream):
        for number in range(100):
            logging.getLogger("securechat.test").info("line %d", number)
    assert stream.getvalue().count("\n") == 100
    assert stream.writes < 50


class Terminal(io.StringIO):
    """A stderr that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_text() -> None:
    stream = Terminal()
    with Log("auto", stream):
        logging.getLogger("securechat.test").warning("x", extra={"session": "s1"})
    assert stream.getvalue().endswith("Z warning x session=s1\n")


class Stuck(io.StringIO):
    """A stderr that takes nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        assert self.go_on.wait(20)
        return super().write(text)


def test_a_stderr_that_takes_nothing_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securechat.server.logs.STOP_SECONDS", 0.1)
    stream = Stuck()
    with Log("text", stream):
        for number in range(LOG_LINES + 50):
            logging.getLogger("securechat.test").info("line %d", number)
    assert stream.getvalue() == ""  # all of it went on, the end too, and nothing was written
    stream.go_on.set()


def test_lost_lines_are_told_when_there_is_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securechat.server.logs.LOG_LINES", 5)
    stream = Stuck()
    with Log("text", stream):
        logger = logging.getLogger("securechat.test")
        for number in range(50):
            logger.info("line %d", number)
        stream.go_on.set()
        while "line 0" not in stream.getvalue():
            logger.debug("not written: the level is info")
    assert "log lines were lost" in stream.getvalue()

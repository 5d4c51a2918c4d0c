"""`securechat connect` on a real pseudo-terminal whose screen can be read: keys go in, and what a person would see is
waited for, with a deadline.
"""

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import Any, Self

import pyte
from prompt_toolkit.utils import get_cwidth

DEADLINE = 30.0
"""Seconds until a screen that does not show what is waited for has failed the test."""

# Opening it makes the terminal the one that controls the new session: Ctrl-C typed there is a signal here.
ON_ITS_TERMINAL = """
import os, runpy
os.close(os.open(os.ttyname(0), os.O_RDWR))
runpy.run_module("securechat", run_name="__main__")
"""

BRACKETED_PASTE = 2004 << 5
"""How pyte keeps the mode `?2004`."""


class Lines:
    """The lines of a screen, each put together when it has changed: pyte does it for all of them at every look."""

    def __init__(self, screen: pyte.Screen) -> None:
        self._screen = screen
        self._shown: list[str] = []

    def __call__(self) -> list[str]:
        """What is shown now, without the spaces at the ends."""
        screen = self._screen
        if len(self._shown) != screen.lines:
            self._shown = [""] * screen.lines
            screen.dirty.update(range(screen.lines))
        for number in screen.dirty:
            if number < screen.lines:
                self._shown[number] = self._line(screen.buffer[number])
        screen.dirty.clear()
        return self._shown.copy()

    def _line(self, cells: Any) -> str:
        texts, covered = [], False
        for column in range(self._screen.columns):
            text = cells[column].data if column in cells and not covered else ""
            texts.append(text if column in cells or covered else " ")
            covered = not text.isascii() and get_cwidth(text[0]) == 2
        return "".join(texts).rstrip()


class OnScreen:
    """One command on a terminal of its own."""

    def __init__(
        self,
        *arguments: str | Path,
        term: str = "xterm-256color",
        columns: int = 80,
        rows: int = 30,
        program: str = ON_ITS_TERMINAL,
    ) -> None:
        self._master, self._terminal = pty.openpty()
        ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._lines = Lines(self.screen)
        self.written = bytearray()
        """Every byte that reached the terminal."""
        self.modes_before = self.modes()
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
            start_new_session=True,
            env={**os.environ, "TERM": term, "TZ": "UTC"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._master)
        os.close(self._terminal)

    def modes(self) -> list[Any]:
        """What `stty -a` shows of the terminal."""
        return termios.tcgetattr(self._terminal)

    def type(self, keys: str) -> None:
        """Type keys as they are; surrogates are bytes that are no UTF-8."""
        os.write(self._master, keys.encode("utf-8", "surrogateescape"))

    def enter(self, line: str) -> None:
        """Type a line and Enter."""
        self.type(line + "\r")

    @property
    def lines(self) -> list[str]:
        """The screen's lines, from the top to the last one with something in it."""
        shown = self._lines()
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def wait(self, seen: Callable[[list[str]], bool], what: str = "") -> list[str]:
        """Read what is shown until it is as expected."""
        deadline = time.monotonic() + DEADLINE
        while not seen(self.lines):
            has_ended = self.process.poll() is not None
            if not self._read(0.2) and (has_ended or time.monotonic() > deadline):
                shown = "\n".join(self.lines)
                raise AssertionError(f"{what or 'what was waited for'} never came, but:\n{shown}")
        return self.lines

    def wait_for(self, *texts: str) -> list[str]:
        """Wait until each text stands on the screen."""
        return self.wait(lambda lines: all(text in "\n".join(lines) for text in texts), repr(texts))

    def wait_asleep(self) -> None:
        """Wait until the command waits for a key: a signal that comes before that would wait for the key, too."""
        deadline = time.monotonic() + DEADLINE
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            assert time.monotonic() < deadline, "it never waits"
            self._read(0.01)

    def end(self) -> int:
        """Read to the command's end; its exit code."""
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None:
            self._read(0.2)
            assert time.monotonic() < deadline, "\n".join(self.lines)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        data = os.read(self._master, 65_536)
        self.written += data
        self._stream.feed(data)
        return True

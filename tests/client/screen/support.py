"""The full screen in this process: keys go in through a pipe, and what it draws lands on a screen that can be read."""

import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pyte
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from securechat.certificates import client_context
from securechat.client.client import Client
from securechat.client.ignored import Ignored
from securechat.client.screen.application import Screen
from securechat.client.timeouts import Timeouts
from tests.client.screens import Lines
from tests.server.support import PASSWORD

DEADLINE = 20.0
"""Seconds until a screen that does not show what is waited for has failed the test."""


class _Glass(io.StringIO):
    """What an output writes to: it ends on a screen."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.changed = threading.Condition()
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self.screen)
        self.lines = Lines(self.screen)
        self.written = ""

    def write(self, data: str) -> int:
        with self.changed:
            self.written += data
            self._stream.feed(data)
            self.changed.notify_all()
        return len(data)


class FullScreen:
    """One person in front of a full screen."""

    def __init__(
        self,
        client: Client,
        *rooms: str,
        columns: int = 100,
        rows: int = 24,
        room: str = "lobby",
        ignored: Ignored | None = None,
    ) -> None:
        self.client = client
        self._stack = ExitStack()
        self.glass = _Glass(columns, rows)
        self.size = Size(rows=rows, columns=columns)
        self._pipe = self._stack.enter_context(create_pipe_input())
        self._output = Vt100_Output(
            self.glass, lambda: self.size, term="xterm-256color", enable_cpr=False, enable_bell=False
        )
        self.screen = Screen(client, Ignored() if ignored is None else ignored, input=self._pipe, output=self._output)
        self.failures: list[BaseException] = []
        self._rooms = list(rooms or (room,))
        self._threads = [threading.Thread(target=self._try, args=(act,)) for act in (self._run, self.screen.listen)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.screen.stop()
        self._threads[0].join(DEADLINE)
        self.client.close()
        self._threads[1].join(DEADLINE)
        self.screen.actions.close()
        self._stack.close()

    def _run(self) -> None:
        # Else all applications of a process share one session, and take each other's keys.
        with create_app_session(self._pipe, self._output):
            self.screen.run(self._rooms)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - kept for the test
            self.failures.append(error)
            self.screen.stop()

    def type(self, keys: str) -> None:
        """Type keys, or what a terminal sends for them."""
        self._pipe.send_text(keys)

    def enter(self, line: str) -> None:
        """Type a line, see it in the input, and enter it."""
        self.type(line)
        self.wait(lambda lines: line[-10:].rstrip() in "".join(lines[-8:]), f"{line!r} in the input")
        self.type("\r")

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, and tell the application as a signal would."""
        self.size = Size(rows=rows, columns=columns)
        with self.glass.changed:
            self.glass.screen.resize(rows, columns)
        loop = self.screen.app.loop
        assert loop is not None
        loop.call_soon_threadsafe(self.screen.app._on_resize)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen."""
        with self.glass.changed:
            return self.glass.lines()

    @property
    def talk(self) -> list[str]:
        """The lines of the talk, without what is around it."""
        lines = self.lines[1:-2]
        return [line.partition("│ ")[2] if self.size.columns >= 70 else line for line in lines]

    def wait(self, seen: Callable[[list[str]], Any], what: str = "") -> list[str]:
        """Wait until the screen is as expected."""
        deadline = time.monotonic() + DEADLINE
        with self.glass.changed:
            while not seen(self.lines):
                shown = "\n".join(self.lines)
                assert self.glass.changed.wait(deadline - time.monotonic()), f"{what} never came, but:\n{shown}"
                assert not self.failures, self.failures
            return self.lines

    def wait_for(self, *patterns: str) -> list[str]:
        """Wait until each pattern is found in a line of the screen."""
        return self.wait(
            lambda lines: all(any(re.search(pattern, line) for line in lines) for pattern in patterns), repr(patterns)
        )

    def end(self) -> None:
        """Wait until it has ended by itself."""
        self._threads[0].join(DEADLINE)
        assert not self._threads[0].is_alive(), self.lines

    def wait_without(self, pattern: str) -> list[str]:
        """Wait until no line has the pattern."""
        return self.wait(lambda lines: not any(re.search(pattern, line) for line in lines), f"no {pattern!r}")


def connect(port: int, home: Path, username: str, outbox: Path | None = None, **timeouts: float) -> Client:
    """A client of the tests' server."""
    ca = home / "certs" / "ca.pem"
    return Client.connect(
        "localhost",
        port,
        client_context(ca),
        username,
        PASSWORD,
        authority=ca,
        outbox=outbox,
        timeouts=Timeouts(**timeouts),
    )


@contextmanager
def sitting(
    port: int, home: Path, username: str, *rooms: str, outbox: Path | None = None, **look: Any
) -> Iterator[FullScreen]:
    """A person who has come in, and sees the first of the rooms."""
    with FullScreen(connect(port, home, username, outbox, retry=0.05, retry_most=0.2), *rooms, **look) as screen:
        screen.wait_for("Welcome")
        screen.wait_for(rf"^{(rooms or ('lobby',))[0]}>")  # what is typed before is said nowhere
        yield screen

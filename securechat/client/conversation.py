"""Where a conversation takes place: on a full screen, or in lines, on a terminal with keys and a cursor or on one that
can only print line by line. It joins the talk with its face and the threads that both need, and ends them together.
"""

import os
import sys
import termios
import threading
from collections.abc import Callable
from typing import Final

from securechat.client import text
from securechat.client.client import Client
from securechat.client.ignored import Ignored
from securechat.client.lines import read_lines
from securechat.client.plain import Talk

DUMB: Final = frozenset({"", "dumb", "unknown"})
"""Values of TERM for a terminal that cannot move its cursor, or of which nothing is known."""


def converse(client: Client, rooms: list[str], ignored: Ignored, *, plain: bool = False, warning: str = "") -> None:
    """Talk until the person leaves, in lines if `plain`; the client is closed then. A warning is told first.

    Raises what else ended it: Unreachable, Refused for an account that was changed, KeyboardInterrupt, SystemExit.
    """
    if os.environ.get("TERM", "") in DUMB:
        _converse_on_paper(client, rooms, ignored, warning)
    elif plain:
        _converse_in_lines(client, rooms, ignored, warning)
    else:
        _converse_on_screen(client, rooms, ignored, warning)


def _converse_on_screen(client: Client, rooms: list[str], ignored: Ignored, warning: str) -> None:
    # Here, because it takes a tenth of a second that nobody else should pay.
    from securechat.client.screen.application import Screen

    screen = Screen(client, ignored)
    listener = _start(screen.listen, screen.stop)
    try:
        screen.run(rooms, warning)
    finally:
        client.close()
        listener.join()
        screen.actions.close()
        for told in screen.left_behind():
            sys.stdout.write(f"{told}\n")


def _converse_in_lines(client: Client, rooms: list[str], ignored: Ignored, warning: str) -> None:
    # Here, because it takes a tenth of a second that nobody else should pay.
    from securechat.client.terminal import Terminal

    terminal = Terminal(lambda: talk.prompt(), lambda: talk.pending())
    talk = Talk(client, terminal, ignored)

    def enter() -> None:
        talk.open(rooms, warning)
        while (typed := terminal.typed()) is not None and talk.enter(typed):
            pass

    threads = [_start(act, terminal.stop) for act in (talk.listen, enter)]
    try:
        terminal.run()
    finally:
        client.close()
        for thread in threads:
            thread.join()


def _converse_on_paper(client: Client, rooms: list[str], ignored: Ignored, warning: str) -> None:
    paper = _Paper()
    talk = Talk(client, paper, ignored)
    failures: list[BaseException] = []

    def enter() -> None:
        talk.open(rooms, warning)
        for _, line in read_lines(sys.stdin.fileno()):
            typed = _decoded(line)
            if typed is None:
                paper.show(text.system("That was no UTF-8, or too long; it was not said."))
            elif not talk.enter(typed):
                break

    def stop(error: BaseException | None) -> None:
        if error:
            failures.append(error)
        client.close()

    # A daemon: when the connection ends, it waits for a line that never comes.
    _start(enter, stop)
    try:
        talk.listen()
    finally:
        client.close()
        paper.ask("")
    if failures:
        raise failures[0]


def _start(act: Callable[[], None], stop: Callable[[BaseException | None], None]) -> threading.Thread:
    """Do it on a thread of its own, and end the conversation when it is done or fails."""

    def run() -> None:
        failure: BaseException | None = None
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            failure = error
        stop(failure)

    thread = threading.Thread(target=run, name=f"securechat-{act.__name__}", daemon=True)
    thread.start()
    return thread


def _decoded(line: bytes | None) -> str | None:
    try:
        return None if line is None else line.decode("utf-8")
    except UnicodeDecodeError:
        return None


class _Paper:
    """A terminal that prints: what is typed stays where it is, and what is shown follows it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80

    def show(self, block: str) -> None:
        with self._lock:
            sys.stdout.write(f"{block}\n")
            sys.stdout.flush()

    def refresh(self) -> None:
        """Nothing that was printed can be changed."""

    def ask(self, question: str) -> None:
        """What is typed is not echoed until the question is empty."""
        terminal = sys.stdin.fileno()
        mode = termios.tcgetattr(terminal)
        mode[3] = mode[3] & ~termios.ECHO if question else mode[3] | termios.ECHO
        termios.tcsetattr(terminal, termios.TCSADRAIN, mode)
        if question:  # not before: whoever is quick would be echoed
            self.show(text.system(question))

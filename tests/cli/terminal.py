"""A command on a real pseudo-terminal: read until it asks, answer, wait for its end; every wait has a deadline."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

DEADLINE = 30.0
"""Seconds until a command that says nothing has failed the test."""

# Opening it makes the terminal the one that controls the new session: Ctrl-C typed there is a signal here.
_ON_ITS_TERMINAL = """
import os, runpy
os.close(os.open(os.ttyname(0), os.O_RDWR))
runpy.run_module("securechat", run_name="__main__")
"""


class OnTerminal:
    """`securechat …` with a terminal as its stdin and stderr; its stdout is a pipe, or the terminal too."""

    def __init__(self, *arguments: str | Path, data_to_terminal: bool = False) -> None:
        self._deadline = time.monotonic() + DEADLINE
        self._terminal, inside = pty.openpty()
        self.seen = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_ITS_TERMINAL, *arguments],
            stdin=inside,
            stderr=inside,
            stdout=inside if data_to_terminal else subprocess.PIPE,
            start_new_session=True,
        )
        os.close(inside)

    def __enter__(self) -> "OnTerminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._terminal)
        self._process.kill()
        self._process.communicate()

    def read_until(self, expected: str) -> str:
        """Read what the terminal shows up to where it says this; what came before was read already."""
        start = len(self.seen)
        while expected not in self.seen[start:]:
            assert self._read(), f"{expected!r} never came, but: {self.seen!r}"
        return self.seen[start:]

    def answer(self, text: str) -> None:
        """Type a line."""
        self.type(text + "\r")

    def type(self, keys: str | bytes) -> None:
        """Type keys as they are."""
        os.write(self._terminal, keys if isinstance(keys, bytes) else keys.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the command's end; its exit code and what it wrote to the stdout pipe."""
        while self._read():
            pass
        data, _ = self._process.communicate(timeout=DEADLINE)
        return self._process.returncode, data.decode() if data else ""

    def _read(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, self._deadline - time.monotonic()))
        assert ready, f"the command says nothing more after: {self.seen!r}"
        try:
            piece = os.read(self._terminal, 4096)
        except OSError:  # Linux tells so that the other side is closed.
            return False
        self.seen += piece.decode()
        return bool(piece)

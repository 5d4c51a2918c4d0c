"""Whose messages one person does not want to see, kept on this machine from one run to the next: one file for one
account at one server, a name a line. The server is not told. It shows nothing.
"""

import os
import urllib.parse
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Final

from securechat.chat.names import is_username
from securechat.errors import SecurechatError, UsageError
from securechat.files import locked, replace_file

MOST: Final = 1_000
"""Names that are kept; past it, no more is taken. More people than one has rooms with."""


class Ignored(Set[str]):
    """The names, of which each client of the account reads what the others have changed when it changes something."""

    def __init__(self, folder: Path | None = None, account: str = "") -> None:
        """Of `account` (`alice@host:port`), in this folder; without one nothing is kept. What cannot be read is not
        there."""
        self._path = folder / urllib.parse.quote(account, safe="@") if folder else None
        self._names: frozenset[str] = frozenset()
        self._read()

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)

    def turn(self, name: str) -> bool:
        """Ignore somebody, or no more; whether they are ignored now.

        Raises UsageError for what is no name, and SecurechatError where it cannot be kept: it holds until the end.
        """
        if not is_username(name):
            raise UsageError("That is nobody's name.", hint="Type /ignore NAME.")
        is_new = name not in self._names
        try:
            if self._path is None:
                self._change(name, is_new)
                return is_new
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self._path):
                self._read()
                self._change(name, is_new)
                replace_file(self._path, "".join(f"{one}\n" for one in self).encode(), 0o600)
        except OSError as error:
            self._change(name, is_new)
            what = f"{self._path} cannot be written ({os.strerror(error.errno or 0)})."
            raise SecurechatError(f"{what} It holds until you leave.") from None
        return is_new

    def _change(self, name: str, is_new: bool) -> None:
        names = self._names | {name} if is_new else self._names - {name}
        if len(names) > MOST:
            raise UsageError(f"{MOST} people are ignored already.")
        self._names = names

    def _read(self) -> None:
        try:
            lines = self._path.read_text("ascii").splitlines() if self._path else []
        except (OSError, UnicodeDecodeError):
            return
        self._names = frozenset([line for line in lines if is_username(line)][:MOST])

"""What was said and is not yet known to be stored, on disk: it outlives the client, and is sent again under its ids.

One file for one account at one server (SQLite), for all its clients at once. A line is on disk, with its id, before it
is sent; so where two clients send it, they do so under one id, and the server stores it once. It knows nothing of
connections.
"""

import contextlib
import os
import sqlite3
import threading
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from securechat.errors import OutboxUnusable
from securechat.files import locked
from securechat.limits import CLIENT_OUTBOX

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS lines (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    room TEXT NOT NULL,
    text TEXT NOT NULL,
    reply_to INTEGER NOT NULL,
    code TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT ''
) STRICT
"""


SUFFIX: Final = ".outbox"

BUSY_SECONDS: Final = 30.0
"""How long one client waits while another one writes, which takes as long as an fsync."""


class Line(msgspec.Struct, frozen=True):
    """One line that is not known to be stored; `code` and `reason` say why the server refused it (empty: pending)."""

    id: str
    room: str
    text: str
    reply_to: int = 0
    code: str = ""
    reason: str = ""

    def __repr__(self) -> str:  # what people write is in no log
        return f"Line({self.id!r}, {self.room!r})"


def accounts_in(folder: Path) -> list[str]:
    """The accounts (`alice@host:port`) that have an outbox in this folder, in order."""
    return sorted(urllib.parse.unquote(path.name.removesuffix(SUFFIX)) for path in folder.glob(f"*{SUFFIX}"))


class Outbox:
    """The outbox of `account` (`alice@host:port`) in a folder, made if it is not there; usable from every thread."""

    def __init__(self, folder: Path, account: str) -> None:
        """Raises OutboxUnusable where the folder or the file cannot be used."""
        self._path = folder / f"{urllib.parse.quote(account, safe='@')}{SUFFIX}"
        self._lock = threading.Lock()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self._path):  # two that both make it are in each other's way
                self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from None

    def _open(self) -> sqlite3.Connection:
        # SQLite gives the files beside it the same mode. One that is there is not opened: to close it would take
        # SQLite's locks from another client in this process (fcntl(2): a process has one set of them for a file).
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute(SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def lines(self) -> list[Line]:
        """All lines in the order in which they were said."""
        query = "SELECT id, room, text, reply_to, code, reason FROM lines ORDER BY position"
        with self._lock:
            return [Line(*row) for row in self._connection.execute(query)]

    def add(self, line: Line) -> None:
        """Keep a line; when this returns, a power cut takes nothing back. One that was refused waits again then, and
        no line takes the place of another under its id. Raises SecurechatError where that fails."""
        query = """
            INSERT INTO lines (id, room, text, reply_to) VALUES (?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET code = '', reason = ''"""
        with self._lock:
            try:
                self._connection.execute(query, (line.id, line.room, line.text, line.reply_to))
            except sqlite3.Error as error:
                raise self._unusable(error) from None

    def settle(self, stored: Iterable[str], failed: Iterable[tuple[str, str, str]] = ()) -> None:
        """Forget the stored ones (ids), note why others failed (id, code, reason).

        What cannot be written now is harmless: the line is sent again once more, and answered as a duplicate.
        """
        with self._lock:
            try:
                # It is no loss if a power cut takes this back: it need not wait for the disk.
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany("DELETE FROM lines WHERE id = ?", ((id,) for id in stored))
                self._connection.executemany(
                    "UPDATE lines SET code = ?, reason = ? WHERE id = ?", ((code, why, id) for id, code, why in failed)
                )
                # What nobody has looked at is not kept for ever.
                self._connection.execute(
                    "DELETE FROM lines WHERE code <> '' AND position <= "
                    "(SELECT position FROM lines WHERE code <> '' ORDER BY position DESC LIMIT 1 OFFSET ?)",
                    (CLIENT_OUTBOX,),
                )
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            finally:
                with contextlib.suppress(sqlite3.Error):  # it is closed
                    self._connection.execute("PRAGMA synchronous=FULL")

    def drop(self, id: str) -> bool:
        """Forget a line, whatever became of it; whether it was there."""
        with self._lock:
            try:
                return bool(self._connection.execute("DELETE FROM lines WHERE id = ?", (id,)).rowcount)
            except sqlite3.Error as error:
                raise self._unusable(error) from None

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()

    def _unusable(self, error: Exception) -> OutboxUnusable:
        return OutboxUnusable(f"The outbox {self._path} cannot be used: {error}.")

"""The store on a simulated disk: SQLite's connections with the face of the standard library's, for what the store uses.

The standard library's SQLite cannot be given a VFS of Python's; apsw brings the same library with one. Statements,
settings and commits are the store's own.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import mock
from urllib.parse import quote

import apsw

from tests.faults.disk import STORE, Disk

T = TypeVar("T")


class Rows:
    """What a statement gives: a cursor of the standard library, as far as the store knows it."""

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row

    def fetchone(self) -> Any:
        return _translated(self._cursor.fetchone)

    def fetchall(self) -> list[Any]:
        return _translated(self._cursor.fetchall)

    def close(self) -> None:
        self._cursor.close(True)


class DiskConnection:
    """A connection to a file on a simulated disk."""

    def __init__(self, disk: Disk, uri: str, timeout: float) -> None:
        self._disk = disk
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
        self._connection = _translated(lambda: apsw.Connection(uri, flags, disk.name))
        self._connection.set_busy_timeout(round(timeout * 1_000))

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Rows:
        try:
            return Rows(_translated(lambda: self._connection.execute(statement, tuple(parameters))))
        except sqlite3.Error:
            # With a WAL, the database file itself is written by checkpoints alone. SQLite makes one behind a commit
            # that has succeeded, and does not mind when it fails; apsw reports whatever was raised in the VFS.
            if statement == "COMMIT" and self._disk.touched == "main":
                return Rows(self._connection.cursor())
            raise

    def executemany(self, statement: str, parameters: Iterable[Sequence[Any]]) -> Rows:
        rows = [tuple(values) for values in parameters]
        return Rows(_translated(lambda: self._connection.executemany(statement, rows)))

    def create_function(self, name: str, arguments: int, function: Callable[..., Any], *, deterministic: bool) -> None:
        self._connection.create_scalar_function(name, function, arguments, deterministic=deterministic)

    def close(self) -> None:
        # As in the standard library, whatever cannot be tidied up any more is left as it is.
        try:
            self._connection.close(True)
        except apsw.Error:
            return


@contextmanager
def stores_on(disk: Disk) -> Iterator[None]:
    """Let the store in the disk's folder be opened on it; other databases are opened as ever."""
    connect = sqlite3.connect
    prefix = f"file://{quote(str(disk.folder / STORE))}?"

    def connected(database: str, timeout: float = 5.0, **options: Any) -> Any:
        if str(database).startswith(prefix):
            return DiskConnection(disk, database, timeout)
        return connect(database, timeout=timeout, **options)

    with mock.patch("sqlite3.connect", connected):
        yield


def _translated(act: Callable[[], T]) -> T:
    """Do it. Raises sqlite3.OperationalError, with SQLite's code, where apsw has an error of its own for each."""
    try:
        return act()
    except apsw.Error as error:
        translated = sqlite3.OperationalError(str(error))
        translated.sqlite_errorcode = getattr(error, "extendedresult", apsw.SQLITE_ERROR)
        raise translated from error

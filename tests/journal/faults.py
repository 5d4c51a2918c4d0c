"""Disk faults that no test can cause for real: a connection that fails at one statement, once or for ever."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import cast

from securechat.journal.store import Store


class FaultyConnection:
    """A real connection that answers statements beginning with `at` with the SQLite error `code`."""

    def __init__(self, real: sqlite3.Connection, at: str, code: int) -> None:
        self.real = real
        self._at = at
        self._code = code

    @property
    def in_transaction(self) -> bool:
        return self.real.in_transaction

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        self._check(statement)
        return self.real.execute(statement, cast("tuple[str]", parameters))

    def executemany(self, statement: str, parameters: Iterable[Sequence[object]]) -> sqlite3.Cursor:
        self._check(statement)
        return self.real.executemany(statement, cast("Iterable[tuple[str]]", parameters))

    def close(self) -> None:
        self.real.close()

    def _check(self, statement: str) -> None:
        if statement.split()[: len(self._at.split())] == self._at.split():
            error = sqlite3.OperationalError("injected by a test")
            error.sqlite_errorcode = self._code
            raise error


def break_store(store: Store, at: str, code: int) -> sqlite3.Connection:
    """Make the writer fail at statements that begin with these words; gives the sound connection, to mend it with."""
    sound = store.connection
    store.connection = cast(sqlite3.Connection, FaultyConnection(sound, at, code))
    return sound


class Statements(list[str]):
    """The statements that a store's writer runs from now on."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        store.connection.set_trace_callback(self.append)

    def commits(self) -> int:
        return sum(statement == "COMMIT" for statement in self)

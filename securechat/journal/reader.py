"""What the store has, read by any thread: pages of a room's records, single ones, rooms, a copy of it all.

Each reader has a connection of its own, so that reading never waits for writing. It writes nothing.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from securechat.chat.accounts import Account, Hook
from securechat.chat.model import Invitation, Record, Room, Sanction, Token
from securechat.errors import StorageFailed
from securechat.journal.accounts import ACCOUNTS, HOOKS
from securechat.journal.database import FAILURES, connect, create_file, failure
from securechat.limits import SAFE_INTEGER

RECORD_OVERHEAD: Final = 320
"""Bytes that a record takes on the wire besides its text, at most about: names, id, numbers and salt."""

_ROOMS: Final = """
    SELECT number, name, owner, topic, private, head, time, archived, hash, base, base_hash FROM rooms"""
_PAGE: Final = """
    SELECT seq, kind, sender, id, time, text, target, about, salt, erased, hash FROM records
    WHERE room = (SELECT number FROM rooms WHERE name = ?) AND seq > ? AND seq < ? ORDER BY seq"""
# Times never go backwards in a room, so that the oldest records are those of the lowest numbers.
_OLDER: Final = """
    SELECT max(seq) FROM (
        SELECT seq, time FROM records WHERE room = (SELECT number FROM rooms WHERE name = ?) ORDER BY seq LIMIT ?
    ) WHERE time < ?"""
_BASE: Final = "SELECT base FROM rooms WHERE name = ?"
# By its index: left to itself, SQLite looks for the greatest number from the room's end, through all its records where
# a message has no edit.
NEWEST_EDIT: Final = """
    SELECT max(seq) FROM records INDEXED BY edits
    WHERE room = (SELECT number FROM rooms WHERE name = ?) AND about = ? AND kind = 'edit'"""


class Page(msgspec.Struct, frozen=True):
    """Records of one room, oldest first; `more`: there are others further on in the direction of reading."""

    records: list[Record]
    more: bool


class Reader:
    """The file as one reading thread sees it: read-only, and not held up by the writer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path, "ro")

    def page(
        self,
        room: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int,
        max_bytes: int = SAFE_INTEGER,
    ) -> Page:
        """Read the records of one room that follow `after`; without it the newest, or the newest before `before`.

        At most `limit` records of about `max_bytes` in all, but one at least where there is one. An unknown room has
        none. Raises StorageFailed.
        """
        query = _PAGE if after is not None else f"{_PAGE} DESC"
        bounds = (0 if after is None else after, SAFE_INTEGER if before is None else before)
        records: list[Record] = []
        more = False
        try:
            with closing(self._connection.execute(query, (room, *bounds))) as rows:
                for row in rows:
                    record = Record(room, *row)
                    max_bytes -= len(record.text.encode()) + RECORD_OVERHEAD
                    if len(records) == limit or (records and max_bytes < 0):
                        more = True
                        break
                    records.append(record)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        if after is None:
            records.reverse()
        return Page(records, more)

    def text_of(self, room: str, seq: int) -> Record | None:
        """The record that holds what a say says now: its newest edit, else itself; None when it is gone or erased.

        Raises StorageFailed.
        """
        try:
            ((edit,),) = self._connection.execute(NEWEST_EDIT, (room, seq))
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        found = self.record(room, edit or seq)
        return found if found and found.text else None

    def rooms(self) -> list[Room]:
        """Read every room with its members. Raises StorageFailed."""
        try:
            return list(load_rooms(self._connection).values())
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def invitations(self) -> list[Invitation]:
        """Read every invitation that is remembered, the oldest first. Raises StorageFailed."""
        try:
            return list(load_invitations(self._connection).values())
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def tokens(self) -> dict[bytes, Token]:
        """Read every token that is in force, by its hash, in the order they were granted. Raises StorageFailed."""
        try:
            return load_tokens(self._connection)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def sanctions(self) -> list[Sanction]:
        """Read every sanction that is remembered, by account. Raises StorageFailed."""
        try:
            return load_sanctions(self._connection)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def accounts(self) -> dict[str, Account]:
        """Read every account that a cluster shares, by name. Raises StorageFailed."""
        try:
            return {row[0]: Account(*row) for row in self._connection.execute(ACCOUNTS)}
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def hooks(self) -> dict[str, Hook]:
        """Read every webhook that a cluster shares, by name. Raises StorageFailed."""
        try:
            return {row[0]: Hook(*row) for row in self._connection.execute(HOOKS)}
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def followed(self) -> tuple[int, int]:
        """Up to which entry the order of a cluster was followed, and how many proposals of the next; 0 and 0 where it
        never was. Raises StorageFailed."""
        try:
            found = self._connection.execute("SELECT entry, proposals FROM followed").fetchone()
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        return found or (0, 0)

    def record(self, room: str, seq: int) -> Record | None:
        """Read one record; None where there is none. Raises StorageFailed."""
        records = self.page(room, after=seq - 1, before=seq + 1, limit=1).records
        return records[0] if records else None

    def base(self, room: str) -> int:
        """Up to which number the room's records are gone; 0 for none, and for an unknown room. Raises StorageFailed."""
        try:
            found = self._connection.execute(_BASE, (room,)).fetchone()
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        return found[0] if found else 0

    def older(self, room: str, time: int, limit: int) -> int:
        """Find the newest of the room's `limit` oldest records that is older than `time`: its number, 0 for none.

        `time` is milliseconds since 1970 UTC. Raises StorageFailed.
        """
        try:
            (seq,) = self._connection.execute(_OLDER, (room, limit, time)).fetchone()
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        return seq or 0

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """See the file as it is now until the end of the block, whatever is written meanwhile.

        For who must see the tables as they lie (`journal.verify`). Raises StorageFailed for SQLite's own failures.
        """
        try:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                with suppress(sqlite3.Error):  # SQLite may have ended it by itself, over the error that is on its way.
                    self._connection.execute("ROLLBACK")
        except UnicodeDecodeError as error:
            # SQLite's message quotes what is in the file: its own tables are not what they were.
            what, hint = FAILURES[sqlite3.SQLITE_CORRUPT]
            raise StorageFailed(f"{self._path} {what}.", hint=hint) from error
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def copy_to(self, path: Path) -> None:
        """Make `path` a copy of the whole store as it is at one moment, also while it is written. Raises StorageFailed.

        There must be no file at `path`. The copy is not synced: a power cut may take it.
        """
        create_file(path)
        try:
            # All pages in one step: in smaller ones each commit of the writer would make it begin again.
            with closing(connect(path, "rw")) as copy:
                self._connection.backup(copy, pages=-1)
        except sqlite3.Error as error:
            raise StorageFailed(
                f"{self._path} cannot be copied: {str(error)!a}.", hint="Look at the disk, and run `securechat verify`."
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def load_rooms(connection: sqlite3.Connection) -> dict[int, Room]:
    """Read every room with its members, by its number in the file. Raises sqlite3.Error."""
    members: dict[int, list[str]] = {}
    for number, account in connection.execute("SELECT room, account FROM members"):
        members.setdefault(number, []).append(account)
    return {
        number: Room(
            name, owner, topic, bool(private), frozenset(members.get(number, ())), head, time, bool(archived), *rest
        )
        for number, name, owner, topic, private, head, time, archived, *rest in connection.execute(_ROOMS)
    }


def load_tokens(connection: sqlite3.Connection) -> dict[bytes, Token]:
    """Read every token by its hash, in the order they were granted. Raises sqlite3.Error."""
    rows = connection.execute("SELECT hash, account, device, created, fingerprint FROM tokens ORDER BY rowid")
    return {token_hash: Token(*rest) for token_hash, *rest in rows}


def load_sanctions(connection: sqlite3.Connection) -> list[Sanction]:
    """Read every sanction that is remembered, by account. Raises sqlite3.Error."""
    rows = connection.execute(
        "SELECT account, kind, until, since, author, room FROM sanctions ORDER BY account, kind, room"
    )
    return [Sanction(*row) for row in rows]


def load_invitations(connection: sqlite3.Connection) -> dict[bytes, Invitation]:
    """Read every invitation by the hash of its secret, the oldest first. Raises sqlite3.Error."""
    rows = connection.execute(
        "SELECT hash, account, role, rooms, created, expires, state FROM invitations ORDER BY rowid"
    )
    return {
        secret_hash: Invitation(account, role, tuple(rooms.split()), *rest)
        for secret_hash, account, role, rooms, *rest in rows
    }

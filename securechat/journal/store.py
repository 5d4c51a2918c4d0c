"""The store: what was decided, durable and queryable, in one SQLite file. Its only writer.

One connection writes, that of the journal's thread. It must not know any rule of chat: it keeps what it is given.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import astuple

from securechat.chat import chain
from securechat.chat.accounts import Account, Hook
from securechat.chat.model import Invitation, Mark, Record, Room, Sanction, Token
from securechat.chat.names import LOBBY
from securechat.chat.sanctions import Key, key
from securechat.errors import StorageFailed, StorageFull
from securechat.journal import sql
from securechat.journal.accounts import ACCOUNTS, HOOKS, steps_for
from securechat.journal.database import BUSY_SECONDS, FAILURES, code, connect, create_file, failure
from securechat.journal.migration import bring_forward
from securechat.journal.reader import Reader, load_invitations, load_rooms, load_sanctions, load_tokens
from securechat.journal.schema import APPLICATION, FORMAT

SETTINGS: Final = (
    "journal_mode = WAL",
    "wal_autocheckpoint = 1000",
    # What one long reader made the WAL grow to is given back to the disk.
    "journal_size_limit = 67108864",
    "foreign_keys = ON",
    "trusted_schema = OFF",
    # What is erased is overwritten with zeros, and not only marked as free.
    "secure_delete = ON",
)

# SQLite's numbers: with 1 a commit survives the process, with 2 the power supply too (it syncs the WAL each time).
SYNCHRONOUS: Final = {"normal": 1, "full": 2}

NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})
"""What a commit has none of."""


class Position(msgspec.Struct, frozen=True):
    """How far an order that is kept outside was followed: to its entry of this number, and so many proposals of it.

    All of an entry counts as none of the next: `proposals` is 0 then."""

    entry: int = 0
    proposals: int = 0


class Store:
    """The file as its one writer sees it: opened and closed by whoever made it, used by one thread at a time.

    `durability` is "full" (a commit survives a power cut) or "normal" (it survives the end of the process only).
    A file of an older format is brought to today's, and kept beside it as it was.
    Raises StorageFailed when the file cannot be opened, is no store, or was made by a newer securechat.
    """

    def __init__(self, path: Path, durability: Literal["full", "normal"]) -> None:
        self._path = path
        self._numbers: dict[str, int] = {}
        self._traces = False
        """Text that was erased may still be in the write-ahead log."""
        create_file(path)
        self.connection = connect(path, "rw")
        """The writer's connection; public for tests that limit its size, count its commits or make it fail."""
        try:
            self.connection.create_function("commitment", 2, chain.commitment, deterministic=True)
            self._prepare(SYNCHRONOUS[durability])
        except sqlite3.Error as error:
            self.close()
            raise failure(path, error) from error
        except StorageFailed:
            self.close()
            raise

    def load(self) -> list[Room]:
        """Read every room with its members, but no record; it comes before the first batch. Raises StorageFailed."""
        try:
            rooms = load_rooms(self.connection)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        self._numbers = {room.name: number for number, room in rooms.items()}
        return list(rooms.values())

    def marks(self) -> list[Mark]:
        """Read every read marker, and every cursor of a consumer. Raises StorageFailed."""
        rows = self._read("SELECT account, name, seq FROM marks JOIN rooms ON room = number")
        rows += self._read("SELECT account, name, seq, consumer FROM cursors JOIN rooms ON room = number")
        return [Mark(*row) for row in rows]

    def tokens(self) -> dict[bytes, Token]:
        """Read every token that is in force, by its hash, in the order they were granted. Raises StorageFailed."""
        try:
            return load_tokens(self.connection)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def invitations(self) -> dict[bytes, Invitation]:
        """Read every invitation that is remembered, by its secret's hash, the oldest first. Raises StorageFailed."""
        try:
            return load_invitations(self.connection)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def sanctions(self) -> dict[Key, Sanction]:
        """Read every sanction that is remembered, by account, kind and room. Raises StorageFailed."""
        try:
            return {key(one): one for one in load_sanctions(self.connection)}
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def accounts(self) -> dict[str, Account]:
        """Read every account that a cluster shares, by name. Raises StorageFailed."""
        return {row[0]: Account(*row) for row in self._read(ACCOUNTS)}

    def hooks(self) -> dict[str, Hook]:
        """Read every webhook that a cluster shares, by name. Raises StorageFailed."""
        return {row[0]: Hook(*row) for row in self._read(HOOKS)}

    def position(self) -> Position:
        """Up to where the order of a cluster was followed; the beginning where it never was. Raises StorageFailed."""
        rows = self._read("SELECT entry, proposals FROM followed")
        return Position(*rows[0]) if rows else Position()

    def recorded(self, ids: Collection[tuple[str, str]]) -> dict[tuple[str, str], Record]:
        """Find what is recorded under these authors and ids (none empty), by author and id. Raises StorageFailed."""
        if not ids:
            return {}
        # One statement for the whole batch: three times quicker than one for each, also where threads compete.
        records = [Record(*row) for row in self._read(sql.RECORDED, msgspec.json.encode(ids).decode())]
        return {(record.sender, record.id): record for record in records}

    def named(self, numbers: Collection[tuple[str, int]]) -> dict[tuple[str, int], Record | None]:
        """Find the records with these rooms and numbers; None where there is none. Raises StorageFailed."""
        found: dict[tuple[str, int], Record | None] = dict.fromkeys(numbers)
        if numbers:
            for row in self._read(sql.NAMED, msgspec.json.encode(numbers).decode()):
                found[row[:2]] = Record(*row)
        return found

    def commit(
        self,
        rooms: Iterable[Room],
        records: Iterable[Record],
        members: Mapping[tuple[str, str], bool],
        *,
        deleted: Collection[tuple[str, int]] = (),
        expired: Mapping[str, int] = NOTHING,
        marks: Collection[Mark] = (),
        tokens: Mapping[bytes, Token | None] = NOTHING,
        invitations: Mapping[bytes, Invitation | None] = NOTHING,
        sanctions: Mapping[Key, Sanction | None] = NOTHING,
        accounts: Mapping[str, Account | None] = NOTHING,
        hooks: Mapping[str, Hook | None] = NOTHING,
        position: Position | None = None,
    ) -> None:
        """Write a batch in one transaction: once this returns, all of it is on the disk.

        `rooms` are those that changed, as they are now; `members` says by room and account who came and who went;
        `deleted` are rooms and numbers of messages that are erased, and their edits with them, but for what the chain
        needs; `expired` says by room up to where its older records go altogether, before the new ones come; `marks` are
        those that moved (to 0: cursors that are forgotten); `tokens` are by hash (None: revoked), `invitations` by
        their secret's (None: forgotten), `sanctions` by account, kind and room (None: lifted), `accounts` and `hooks`
        by name (None: gone); `position` is how far the batch has followed a cluster's order.
        Raises StorageFull (nothing was kept; after `load`, a later batch may be) or StorageFailed (nothing is sure).
        """
        rows = [(self._number(room.name), *sql.room_columns(room)) for room in rooms]
        numbers = self._numbers
        steps: list[tuple[str, list[tuple[object, ...]]]] = [
            (sql.SAVE_ROOM, rows),
            (sql.SAVE_MEMBER, [(numbers[room], account) for (room, account), inside in members.items() if inside]),
            (sql.DROP_MEMBER, [(numbers[room], account) for (room, account), inside in members.items() if not inside]),
            (sql.EXPIRE, [(numbers[room], upto) for room, upto in expired.items()]),
            (sql.SAVE_RECORD, [sql.record_row(numbers[record.room], record) for record in records]),
            (sql.ERASE, [(numbers[room], seq) for room, seq in deleted]),
            (sql.SAVE_MARK, [(mark.account, numbers[mark.room], mark.seq) for mark in marks if not mark.consumer]),
            (sql.SAVE_CURSOR, [(m.account, m.consumer, numbers[m.room], m.seq) for m in marks if m.consumer and m.seq]),
            (sql.FORGET_CURSOR, [(m.account, m.consumer, numbers[m.room]) for m in marks if m.consumer and not m.seq]),
            (sql.REVOKE, [(token_hash,) for token_hash, token in tokens.items() if token is None]),
            (sql.GRANT, [(key, *astuple(token)) for key, token in tokens.items() if token is not None]),
        ]
        steps += [
            (sql.LIFT, [key for key, sanction in sanctions.items() if sanction is None]),
            (sql.SANCTION, [astuple(sanction) for sanction in sanctions.values() if sanction is not None]),
            (sql.FORGET_INVITATION, [(key,) for key, invitation in invitations.items() if invitation is None]),
            (
                sql.SAVE_INVITATION,
                [(key, *sql.invitation_columns(one)) for key, one in invitations.items() if one is not None],
            ),
            (sql.FOLLOW, [astuple(position)] if position else []),
        ]
        if accounts or hooks:
            steps += steps_for(accounts, hooks)
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            for statement, parameters in steps:
                if parameters:
                    sql.execute(self.connection, statement, parameters)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._undo(error) from error
        self._traces = self._traces or bool(deleted or expired)
        if self._traces:
            self._forget()

    def leave(self) -> None:
        """Forget that the order of a cluster was followed, and what its nodes share of accounts and webhooks.

        Raises StorageFull and StorageFailed as `commit` does.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            for table in ("followed", "accounts", "hooks"):
                self.connection.execute(f"DELETE FROM {table}")  # noqa: S608 - one of the three
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._undo(error) from error

    def reader(self) -> "Reader":
        """Open a connection for one more thread to read with. Raises StorageFailed."""
        return Reader(self._path)

    def close(self) -> None:
        """Let go of the file; what was not committed is gone."""
        self.connection.close()

    def _prepare(self, synchronous: int) -> None:
        version = self._format()
        for setting in (*SETTINGS, f"synchronous = {synchronous}"):
            self.connection.execute(f"PRAGMA {setting}").fetchall()
        kept = (self._pragma("journal_mode"), self._pragma("synchronous"))
        if kept != ("wal", synchronous):
            raise StorageFailed(
                f"{self._path} cannot be made durable: SQLite keeps {kept[0]} and synchronous {kept[1]}.",
                hint="It needs a local disk, not a network share.",
            )
        self.connection.execute("BEGIN IMMEDIATE")
        if version < FORMAT:
            bring_forward(self.connection, self._path, version)
        if not version:
            start = chain.start(LOBBY)
            sql.execute(self.connection, sql.SAVE_ROOM, [(1, LOBBY, "", "", False, 0, 0, False, start, 0, start)])
        # It changes nothing, but fails where SQLite has quietly opened the file for reading only.
        self.connection.execute("UPDATE rooms SET head = head WHERE FALSE")
        self.connection.execute("COMMIT")

    def _format(self) -> int:
        """The format of the file, 0 while it is empty. Raises StorageFailed where another program or a newer one wrote
        it."""
        if self._pragma("schema_version") == 0:
            return 0
        if self._pragma("application_id") != APPLICATION:
            what, hint = FAILURES[sqlite3.SQLITE_NOTADB]
            raise StorageFailed(f"{self._path} {what}.", hint=hint)
        version = self._pragma("user_version")
        if not 0 < version <= FORMAT:
            raise StorageFailed(
                f"{self._path} was written by a newer securechat (format {version}; this one writes {FORMAT}).",
                hint="Run the newer one.",
            )
        return int(version)

    def _forget(self) -> None:
        """Empty the write-ahead log, where texts that were erased would stay until it is used again."""
        try:
            # A reader in the middle of a page would hold this up: rather than wait, try again after the next commit.
            self.connection.execute("PRAGMA busy_timeout = 0").fetchall()
            try:
                (busy, *_) = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self.connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1_000:.0f}").fetchall()
        except sqlite3.Error as error:
            # What was committed is safe in the log, and a full disk leaves it there.
            if code(error) != sqlite3.SQLITE_FULL:
                raise failure(self._path, error) from error
        else:
            self._traces = bool(busy)

    def _read(self, query: str, *parameters: object) -> list[Any]:
        try:
            return self.connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def _pragma(self, name: str) -> Any:
        return self.connection.execute(f"PRAGMA {name}").fetchone()[0]

    def _number(self, name: str) -> int:
        # Numbers are given in order and rooms are never taken away; after a batch that failed, `load` sets it right.
        return self._numbers.setdefault(name, len(self._numbers) + 1)

    def _undo(self, error: sqlite3.Error) -> StorageFull | StorageFailed:
        """Give up the transaction and say what that means for the batch."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error as second:
            return failure(self._path, second)
        if code(error) == sqlite3.SQLITE_FULL:
            return StorageFull(f"{self._path} cannot grow: the disk is full.", hint="Free some space.")
        return failure(self._path, error)

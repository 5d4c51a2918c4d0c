"""The writer of the search index: it follows the log, room by room, with cursors that it commits with what they cover.

A message is found by its newest edit; what is deleted or has expired leaves the file. A file that is missing, damaged
or not of this log is made again. It must not know who searches.
"""

import logging
import sqlite3
import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from securechat.chat.model import Room
from securechat.errors import StorageFailed
from securechat.journal.reader import Page
from securechat.journal.search import tables
from securechat.journal.search.matching import fold, grams
from securechat.journal.search.searcher import Searcher
from securechat.journal.search.tables import Position, document_id, failure, room_of
from securechat.limits import PAGE_RECORDS

STEP_BYTES: Final = 1_048_576
"""Text read of one room in one step; a step takes PAGE_RECORDS at most: some 80 ms of work."""

MERGE_PAGES: Final = 250
"""Pages of 4 KiB that one step of erasing rewrites of each table."""

_SAVE_POSITION: Final = """
    INSERT INTO rooms (name, number, cursor, base) VALUES (?, ?, ?, ?)
    ON CONFLICT (number) DO UPDATE SET cursor = excluded.cursor, base = excluded.base"""

log = logging.getLogger(__name__)


class Log(Protocol):
    """The log as the index reads it: `store.Reader`."""

    def page(self, room: str, *, after: int, limit: int, max_bytes: int) -> Page:
        """The records of the room that follow `after`."""
        ...


class Document(NamedTuple):
    """A message as it is found: by whom, when (milliseconds since 1970 UTC), and its newest text, folded."""

    sender: str
    time: int
    text: str


class Index:
    """The file as its one writer sees it; used by one thread at a time.

    Raises StorageFailed where it can neither be opened nor made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._damaged = threading.Event()
        self._renewed = False
        self._positions: dict[str, Position] = {}
        self._connection = tables.connect(path, "rwc")
        try:
            self._prepare()
        except sqlite3.Error as error:
            try:
                self._mend(error)
            except StorageFailed:
                self._connection.close()
                raise

    def follow(self, source: Log, rooms: Mapping[str, Room]) -> bool:
        """Take the next step towards the heads of `rooms`, which are all rooms of the log; False: nothing was left.

        The rooms that lack least come first: what was just said is found while a long past is still being read.
        Raises StorageFailed where the file cannot be written, or the log not be read; a later step may be luckier.
        """
        try:
            flaw = self._flaw(rooms)
            if flaw:
                self._renew(flaw)
            done = self._read_on(source, rooms) or self._erase()
        except sqlite3.Error as error:
            self._mend(error)
            return True
        self._renewed = False
        return done

    def searcher(self) -> Searcher:
        """Give one more thread its own way to search."""
        return Searcher(self._path, self._damaged)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _prepare(self) -> None:
        tables.prepare(self._connection)
        if not tables.is_ours(self._connection):
            raise sqlite3.DatabaseError("it is of another kind or version")
        self._inode = tables.inode(self._path)
        self._positions = tables.positions(self._connection)

    def _flaw(self, rooms: Mapping[str, Room]) -> str:
        """Why the file cannot be gone on with, if so."""
        if self._damaged.is_set():
            return "it is damaged"
        if tables.inode(self._path) != self._inode:
            return "it was taken away"
        if any(name not in rooms or rooms[name].head < at.cursor for name, at in self._positions.items()):
            return "it is ahead of the log"
        return ""

    def _mend(self, error: sqlite3.Error) -> None:
        """Make a damaged file again. Raises StorageFailed where that would not help, or has just not helped."""
        again, self._renewed = self._renewed, False
        if again or not tables.is_damage(error):
            raise failure(self._path, error) from error
        try:
            self._renew(str(error))
        except sqlite3.Error as second:
            raise failure(self._path, second) from second

    def _renew(self, why: str) -> None:
        log.warning("the search index %s is made again from the log: %s", self._path, why)
        self._connection.close()
        self._positions = {}
        try:
            for ending in ("", "-wal", "-shm"):
                Path(f"{self._path}{ending}").unlink(missing_ok=True)
        except OSError as error:
            raise failure(self._path, error) from error
        self._connection = tables.connect(self._path, "rwc")
        self._renewed = True
        self._prepare()
        self._damaged.clear()

    def _read_on(self, source: Log, rooms: Mapping[str, Room]) -> bool:
        """Read and index up to PAGE_RECORDS; False: no room has anything new."""
        lacks = {name: lack for name, room in rooms.items() if (lack := self._lack(room))}
        numbers = count(len(self._positions) + 1)
        changes: dict[int, Document | None] = {}
        reached: dict[str, Position] = {}
        left = PAGE_RECORDS
        for name in sorted(lacks, key=lacks.__getitem__):
            at = self._positions.get(name) or Position(next(numbers), 0, 0)
            reached[name], taken = self._gather(source, rooms[name], at, changes, left)
            left -= taken
            if left <= 0:
                break
        if reached:
            self._write(changes, reached)
        return bool(reached)

    def _lack(self, room: Room) -> int:
        """How many records there are to read and to take out, at most."""
        at = self._positions.get(room.name) or Position(0, 0, 0)
        return room.head - at.cursor + room.base - at.base

    def _gather(
        self, source: Log, room: Room, at: Position, changes: dict[int, Document | None], limit: int
    ) -> tuple[Position, int]:
        """Put into `changes` what is next in the room; give how far that comes, and how many records it took."""
        if at.base < room.base:
            bounds = (document_id(at.number, 0), document_id(at.number, room.base), limit)
            query = "SELECT id FROM documents WHERE id BETWEEN ? AND ? LIMIT ?"
            expired = self._connection.execute(query, bounds).fetchall()
            changes.update((id, None) for (id,) in expired)
            return at._replace(base=at.base if len(expired) == limit else room.base), len(expired)
        # No further than the head that was given, for the log is read a little before its heads are published.
        after = max(at.cursor, room.base)
        page = source.page(room.name, after=after, limit=min(limit, room.head - after), max_bytes=STEP_BYTES)
        for record in page.records:
            id = document_id(at.number, record.seq)
            about = document_id(at.number, record.about)
            match record.kind:
                case "say" if record.text:
                    changes[id] = Document(record.sender, record.time, fold(record.text))
                case "edit":
                    old = changes[about] if about in changes else self._document(about)
                    if old and record.text:
                        changes[about] = old._replace(text=fold(record.text))
                case "delete":
                    changes[about] = None
        # Where nothing is left to read, all up to the head has expired.
        return at._replace(cursor=page.records[-1].seq if page.records else room.head), len(page.records)

    def _document(self, id: int) -> Document | None:
        row = self._connection.execute("SELECT sender, time, text FROM documents WHERE id = ?", (id,)).fetchone()
        return Document(*row) if row else None

    def _write(self, changes: Mapping[int, Document | None], reached: Mapping[str, Position]) -> None:
        """Write a step in one transaction, its cursors too."""
        execute, executemany = self._connection.execute, self._connection.executemany
        known = {at.number: document_id(at.number, at.cursor) for at in self._positions.values()}
        with self._connection:
            execute("BEGIN IMMEDIATE")
            for id, document in changes.items():
                old = self._document(id) if id <= known.get(room_of(id), 0) else None
                if old:
                    execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (id, old.text))
                    execute("INSERT INTO short (short, rowid, grams) VALUES ('delete', ?, ?)", (id, grams(old.text)))
                    execute("DELETE FROM documents WHERE id = ?", (id,))
                    # What an edit replaces is still in the log, and may leave in its own time.
                    execute("UPDATE state SET unmerged = unmerged OR ?", (document is None,))
            # In order, as FTS5 writes best.
            added = sorted((id, *document) for id, document in changes.items() if document)
            executemany("INSERT INTO documents VALUES (?, ?, ?, ?)", added)
            executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", ((id, text) for id, _, _, text in added))
            executemany(
                "INSERT INTO short (rowid, grams) VALUES (?, ?)", ((id, grams(text)) for id, _, _, text in added)
            )
            executemany(_SAVE_POSITION, ((name, *at) for name, at in reached.items()))
        self._positions.update(reached)

    def _erase(self) -> bool:
        """Take a step towards a file that holds nothing of what was taken out of it; False: nothing was left."""
        execute = self._connection.execute
        if not execute("SELECT unmerged FROM state").fetchone()[0]:
            return False
        with self._connection:
            execute("BEGIN IMMEDIATE")
            before = self._connection.total_changes
            # Negative: merge on until a single segment is left (sqlite.org/fts5.html, "The 'merge' Command").
            execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (-MERGE_PAGES,))
            execute("INSERT INTO short (short, rank) VALUES ('merge', ?)", (-MERGE_PAGES,))
            # Each counts as one change where it did nothing.
            left = self._connection.total_changes - before > 2
            execute("UPDATE state SET unmerged = ?", (left,))
        if not left:
            # The WAL holds old pages too.
            execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return left
